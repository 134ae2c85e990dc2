SELECT coalesce(sum(CASE WHEN credit_account = $1 THEN amount_paise ELSE -amount_paise END), 0)::bigint
FROM wallet_transactions WHERE debit_account = $1 OR credit_account = $1
