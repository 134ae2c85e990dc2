INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps,
                       cashback_cap_paise, active)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
