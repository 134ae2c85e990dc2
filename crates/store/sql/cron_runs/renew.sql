UPDATE cron_runs SET lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1 AND token = $2 AND status = 'running'
