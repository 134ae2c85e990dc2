INSERT INTO cron_runs (id, job, scheduled_for, cause, status, requested_by, reason, dry_run)
VALUES ($1, $2, coalesce($3, clock_timestamp()), 'manual', 'requested', $4, $5, $6)
ON CONFLICT (job, scheduled_for) DO NOTHING
