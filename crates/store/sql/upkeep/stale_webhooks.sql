SELECT log.id, log.source, log.event FROM webhook_logs AS log
WHERE log.verdict IN ('accepted', 'conflict') AND log.id >= uuid_floor(now() - interval '7 days')
  AND log.received_at < now() - make_interval(secs => $1)
  AND NOT EXISTS (SELECT FROM webhook_effects AS done WHERE done.webhook_id = log.id)
ORDER BY log.id LIMIT $2
