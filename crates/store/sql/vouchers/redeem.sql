UPDATE voucher_codes SET redeemed_at = coalesce(redeemed_at, now()) WHERE id = $1 AND allocated_at IS NOT NULL AND revoked_at IS NULL
