SELECT id, status FROM notifications WHERE event_key = $1 AND channel = $2 AND template = $3
