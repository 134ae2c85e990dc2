UPDATE cron_runs SET attempt = $3, error = $4 WHERE id = $1 AND token = $2 AND status = 'running'
