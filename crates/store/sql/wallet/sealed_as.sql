SELECT row_seqs[array_position(row_ids, $1)] FROM wallet_seals WHERE $1 = ANY (row_ids) LIMIT 1
