INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
