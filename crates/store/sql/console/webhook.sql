SELECT id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, reason, received_at, processed_at, effect
FROM webhook_logs WHERE id = $1
