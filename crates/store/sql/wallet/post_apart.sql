SELECT entry_id, false, balance_paise FROM post_apart($1, $2, $3, $4, $5, $6, $7)
