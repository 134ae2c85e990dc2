SELECT id, merchant_id, title, target_url, cashback_bps, cashback_cap_paise, active, expires_at, version, updated_at
FROM offers
WHERE id > $1 AND ($2::uuid IS NULL OR merchant_id = $2)
ORDER BY id
LIMIT $3
