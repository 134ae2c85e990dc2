SELECT j.job, j.previous_run FROM cron_jobs j
WHERE j.previous_run > j.known_since AND j.previous_run < clock_timestamp() - make_interval(secs => $1::float8)
  AND (j.paused_at IS NULL OR j.paused_until <= clock_timestamp())
  AND NOT EXISTS (SELECT FROM cron_runs r WHERE r.job = j.job AND r.scheduled_for >= j.previous_run AND r.cause = 'schedule')
