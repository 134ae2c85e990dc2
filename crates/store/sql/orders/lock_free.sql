SELECT id, user_id, status, total_paise FROM orders WHERE id = $1 FOR UPDATE SKIP LOCKED
