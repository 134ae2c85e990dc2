SELECT id, user_id, status, total_paise FROM orders WHERE id = $1 AND status = 'held' FOR UPDATE SKIP LOCKED
