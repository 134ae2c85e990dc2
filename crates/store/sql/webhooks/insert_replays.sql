INSERT INTO webhook_replays (id, webhook_id, requested_by, dry_run, run_id)
SELECT asked.id, asked.webhook_id, $3, $4, $5 FROM unnest($1::uuid[], $2::uuid[]) AS asked (id, webhook_id)
