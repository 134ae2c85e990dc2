UPDATE cron_jobs SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, paused_until = NULL WHERE job = $1
