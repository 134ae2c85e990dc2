SELECT number, first_seq, last_seq, row_count, previous, hash FROM wallet_seals WHERE number > $1 ORDER BY number LIMIT $2
