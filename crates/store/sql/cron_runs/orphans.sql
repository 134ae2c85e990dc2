SELECT id, job, scheduled_for, token, attempt, dry_run, status FROM cron_runs
WHERE (status = 'running' AND lease_until < clock_timestamp()) OR status = 'requested'
ORDER BY created_at LIMIT 100
