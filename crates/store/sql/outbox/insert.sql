INSERT INTO outbox (id, queue, urgent, kind, payload, not_before, dedupe_key, traceparent, correlation_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (dedupe_key) DO NOTHING
