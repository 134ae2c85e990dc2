SELECT log.id, log.source, log.event_id, log.event, log.verdict, log.reason, log.received_at, done.applied_at, done.effect,
       EXISTS (SELECT FROM webhook_pending WHERE webhook_id = log.id)
FROM webhook_logs AS log
LEFT JOIN LATERAL (
    SELECT applied_at, effect FROM webhook_effects WHERE webhook_id = log.id ORDER BY applied_at DESC LIMIT 1) AS done ON true
WHERE log.id < $1 AND ($3::text IS NULL OR log.source = $3) AND ($4::text IS NULL OR log.verdict = $4)
  AND ($5::timestamptz IS NULL OR log.id >= uuid_floor($5)) AND ($6::timestamptz IS NULL OR log.id < uuid_floor($6))
  AND ($7::boolean IS NULL OR $7 = EXISTS (SELECT FROM webhook_effects WHERE webhook_id = log.id))
ORDER BY log.id DESC LIMIT $2
