SELECT EXISTS (SELECT FROM cron_runs WHERE id = $1 AND token = $2 AND status = 'running')
