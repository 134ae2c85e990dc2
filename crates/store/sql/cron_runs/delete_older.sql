DELETE FROM cron_runs r
WHERE r.finished_at < now() - make_interval(days => $1)
  AND r.scheduled_for < (SELECT max(newest.scheduled_for) FROM cron_runs newest
                         WHERE newest.job = r.job AND newest.cause = 'schedule')
