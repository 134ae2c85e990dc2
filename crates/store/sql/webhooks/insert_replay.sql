INSERT INTO webhook_replays (id, webhook_id, requested_by, dry_run) VALUES ($1, $2, $3, $4)
