INSERT INTO offers (id, merchant_id, title, target_url, cashback_bps, cashback_cap_paise, active, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
