SELECT EXISTS (SELECT FROM cron_runs WHERE job = $1 AND scheduled_for = $2)
