SELECT account_id FROM wallet_balances WHERE account_id = ANY ($1) ORDER BY account_id FOR UPDATE
