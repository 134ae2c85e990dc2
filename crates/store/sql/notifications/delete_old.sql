DELETE FROM notifications
WHERE id IN (SELECT id FROM notifications WHERE id < uuid_floor(now() - make_interval(days => $1)) ORDER BY id LIMIT $2)
