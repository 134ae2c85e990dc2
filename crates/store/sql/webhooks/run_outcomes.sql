SELECT coalesce(outcome, ''), count(*) FROM webhook_replays WHERE run_id = $1 AND NOT dry_run GROUP BY 1
