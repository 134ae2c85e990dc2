SELECT entry_id, replayed, balance_paise FROM post_transfer($1, $2, $3, $4, $5, $6, $7)
