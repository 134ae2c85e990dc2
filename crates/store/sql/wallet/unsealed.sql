SELECT count(*), min(created_at) FROM wallet_transactions WHERE seq > $1
