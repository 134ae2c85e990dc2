UPDATE cron_runs
SET status = $3, report = $4, error = $5, attempt = $6, lease_until = NULL, finished_at = clock_timestamp()
WHERE id = $1 AND token = $2 AND status = 'running'
