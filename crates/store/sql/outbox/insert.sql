INSERT INTO outbox (id, queue, urgent, kind, payload, not_before, dedupe_key, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (dedupe_key) DO NOTHING
