SELECT log.id, log.source, log.event_id, log.event, log.body, log.body_sha256, log.headers, log.remote_address, log.verdict,
       log.reason, log.received_at, done.applied_at, done.effect
FROM webhook_logs AS log
LEFT JOIN LATERAL (
    SELECT applied_at, effect FROM webhook_effects WHERE webhook_id = log.id ORDER BY applied_at DESC LIMIT 1) AS done ON true
WHERE log.id = $1
