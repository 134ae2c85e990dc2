SELECT at, kind, by, text FROM (
    SELECT applied_at AS at, 'effect' AS kind, '' AS by, effect AS text
    FROM webhook_effects WHERE webhook_id = $1 AND replay_id IS NULL
    UNION ALL
    SELECT requested_at, CASE WHEN dry_run THEN 'preview' ELSE 'replay' END, requested_by, coalesce(report, '')
    FROM webhook_replays WHERE webhook_id = $1) AS events
ORDER BY at
