SELECT replay.id, replay.webhook_id, replay.finished_at, replay.outcome, replay.report, coalesce(log.source, ''), coalesce(log.event, '')
FROM webhook_replays AS replay
LEFT JOIN LATERAL (SELECT source, event FROM webhook_logs WHERE id = replay.webhook_id LIMIT 1) AS log ON true
WHERE replay.run_id = $1 AND replay.dry_run = $2 AND replay.webhook_id > coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid)
  AND (NOT $4 OR replay.finished_at IS NULL)
ORDER BY replay.webhook_id
LIMIT $5
