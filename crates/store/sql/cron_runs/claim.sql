INSERT INTO cron_runs (id, job, scheduled_for, cause, status, exclusive, passed_over, worker, lease_until, started_at,
                       requested_by, reason, dry_run)
VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, clock_timestamp() + make_interval(secs => $8), clock_timestamp(), $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING token
