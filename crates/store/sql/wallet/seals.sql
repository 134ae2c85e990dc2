SELECT number, first_seq, last_seq, row_count, sum_paise::text, previous, hash, row_seqs, row_ids, row_digests
FROM wallet_seals WHERE number > $1 ORDER BY number LIMIT $2
