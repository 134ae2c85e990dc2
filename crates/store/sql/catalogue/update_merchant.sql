UPDATE merchants
SET name = $2, network = $3, campaign_id = $4, tracking_template = $5, allowed_hosts = $6, landing_url = $7, cashback_bps = $8,
    cashback_cap_paise = $9, active = $10
WHERE id = $1 AND version = $11
