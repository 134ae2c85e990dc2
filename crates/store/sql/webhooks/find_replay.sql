SELECT webhook_id, requested_by, dry_run, requested_at, finished_at, outcome, report FROM webhook_replays WHERE id = $1
