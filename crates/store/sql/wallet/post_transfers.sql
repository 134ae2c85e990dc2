SELECT entry_id, replayed, balance_paise FROM post_transfers($1, $2, $3, $4, $5, $6, $7) ORDER BY ordinal
