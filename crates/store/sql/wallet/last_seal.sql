SELECT number, last_seq, hash FROM wallet_seals ORDER BY number DESC LIMIT 1
