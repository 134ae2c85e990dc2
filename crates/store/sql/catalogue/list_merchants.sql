SELECT id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps, cashback_cap_paise, active,
       version, updated_at
FROM merchants
WHERE id > $1
ORDER BY id
LIMIT $2
