INSERT INTO cron_runs (id, job, scheduled_for, cause, status, worker, reason, finished_at)
VALUES ($1, $2, $3, 'schedule', 'skipped', $4, $5, clock_timestamp())
ON CONFLICT (job, scheduled_for) DO NOTHING
