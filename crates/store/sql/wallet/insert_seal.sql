INSERT INTO wallet_seals (number, first_seq, last_seq, row_count, sum_paise, previous, hash, row_seqs, row_ids, row_digests)
VALUES ($1, $2, $3, $4, $5::text::numeric, $6, $7, $8, $9, $10)
