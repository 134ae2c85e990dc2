SELECT seq, id, kind, CASE WHEN credit_account = user_id THEN amount_paise ELSE -amount_paise END, balance_after_paise,
       idempotency_key, reason, created_at
FROM wallet_transactions WHERE user_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3
