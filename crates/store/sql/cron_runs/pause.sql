UPDATE cron_jobs SET paused_at = now(), paused_by = $2, pause_reason = $3, paused_until = $4 WHERE job = $1
