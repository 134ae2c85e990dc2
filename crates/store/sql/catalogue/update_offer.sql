UPDATE offers
SET merchant_id = $2, title = $3, target_url = $4, cashback_bps = $5, cashback_cap_paise = $6, active = $7, expires_at = $8
WHERE id = $1 AND version = $9
