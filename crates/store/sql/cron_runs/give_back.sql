UPDATE cron_runs SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1 AND token = $2 AND status = 'running'
