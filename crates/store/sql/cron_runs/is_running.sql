SELECT EXISTS (SELECT FROM cron_runs WHERE job = $1 AND status = 'running' AND exclusive)
