SELECT id, merchant_id, title, target_url, cashback_bps, cashback_cap_paise, active, expires_at, version, updated_at
FROM offers
WHERE id = ANY ($1)
