SELECT webhook_id, queue, kind, payload, traceparent, created_at, correlation_id
FROM webhook_pending
WHERE created_at < now() - make_interval(secs => $2) AND queue = ANY ($3::text[])
ORDER BY webhook_id
LIMIT $1
FOR UPDATE SKIP LOCKED
