SELECT coalesce(b.user_id, entries.user_id), coalesce(b.balance_paise, 0), coalesce(entries.total, 0)::bigint
FROM wallet_balances b
FULL JOIN (SELECT user_id, sum(CASE WHEN credit_account = user_id THEN amount_paise ELSE -amount_paise END) AS total
           FROM wallet_transactions WHERE user_id IS NOT NULL GROUP BY user_id) AS entries ON entries.user_id = b.user_id
WHERE coalesce(b.balance_paise, 0) <> coalesce(entries.total, 0)
ORDER BY 1
LIMIT $1
