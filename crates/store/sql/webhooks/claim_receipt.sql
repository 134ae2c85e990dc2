INSERT INTO webhook_receipts (source, event_id, body_sha256, webhook_id)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
