SELECT id, job, scheduled_for, cause, status, dry_run, attempt, passed_over, worker, requested_by, reason, report, error,
       started_at, finished_at
FROM cron_runs
WHERE ($1::text IS NULL OR job = $1) AND created_at < $2
ORDER BY created_at DESC LIMIT $3
