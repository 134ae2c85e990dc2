SELECT id, source, event FROM webhook_logs
WHERE verdict = 'accepted' AND processed_at IS NULL AND id >= uuid_floor(now() - interval '7 days')
  AND received_at < now() - make_interval(secs => $1)
ORDER BY id LIMIT $2
