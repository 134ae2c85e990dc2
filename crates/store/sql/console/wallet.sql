SELECT u.id, u.name, u.email, u.mobile, u.frozen_at, b.balance_paise, withdrawable(u.id),
       coalesce((SELECT sum(e.amount_paise) FROM cashback_events e WHERE e.user_id = u.id AND e.status = 'pending'), 0)::bigint
FROM users u JOIN wallet_balances b ON b.account_id = u.id
WHERE u.id = $1
