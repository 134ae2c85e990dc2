SELECT b.user_id, b.balance_paise, coalesce(entries.total, 0)::bigint
FROM wallet_balances b
LEFT JOIN (SELECT user_id, sum(CASE WHEN credit_account = user_id THEN amount_paise ELSE -amount_paise END) AS total
           FROM wallet_transactions WHERE user_id IS NOT NULL GROUP BY user_id) AS entries ON entries.user_id = b.user_id
WHERE b.balance_paise <> coalesce(entries.total, 0)
ORDER BY b.user_id
LIMIT $1
