SELECT id, user_id, status, total_paise FROM orders WHERE status = 'held' ORDER BY paid_at LIMIT $1 FOR UPDATE SKIP LOCKED
