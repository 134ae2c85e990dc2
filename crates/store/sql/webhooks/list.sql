SELECT id, source, event_id, event, verdict, reason, received_at, processed_at, effect
FROM webhook_logs WHERE id < $1 ORDER BY id DESC LIMIT $2
