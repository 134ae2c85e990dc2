SELECT source, event, body, verdict, processed_at IS NOT NULL FROM webhook_logs WHERE id = $1
