SELECT balance_paise FROM wallet_balances WHERE account_id = $1
