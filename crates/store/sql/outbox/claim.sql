SELECT id, queue, urgent, kind, payload, not_before, traceparent, created_at, correlation_id
FROM outbox
WHERE relayed_at IS NULL AND queue = ANY ($2::text[])
ORDER BY id
LIMIT $1
FOR UPDATE SKIP LOCKED
