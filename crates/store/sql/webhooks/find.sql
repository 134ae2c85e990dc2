SELECT source, event, event_id, body, verdict, received_at, EXISTS (SELECT FROM webhook_effects WHERE webhook_id = webhook_logs.id)
FROM webhook_logs WHERE id = $1
