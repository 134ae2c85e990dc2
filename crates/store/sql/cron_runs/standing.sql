SELECT j.job, j.known_since, j.paused_at IS NOT NULL AND (j.paused_until IS NULL OR j.paused_until > clock_timestamp()) AS paused,
       (SELECT max(r.scheduled_for) FROM cron_runs r WHERE r.job = j.job AND r.cause = 'schedule') AS last
FROM cron_jobs j
