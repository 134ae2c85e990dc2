SELECT b.balance_paise, withdrawable(b.user_id),
       (SELECT coalesce(sum(e.amount_paise), 0)::bigint FROM cashback_events e WHERE e.user_id = b.user_id AND e.status = 'pending')
FROM wallet_balances b WHERE b.user_id = $1
