SELECT j.job, j.about, j.schedule, j.zone, j.words, j.next_runs, j.paused_at, j.paused_by, j.pause_reason, j.paused_until,
       last.status, last.scheduled_for, last.started_at, last.finished_at, last.report, last.error
FROM cron_jobs j
LEFT JOIN LATERAL (
    SELECT status, scheduled_for, started_at, finished_at, report, error FROM cron_runs r
    WHERE r.job = j.job AND r.status <> 'skipped' ORDER BY r.scheduled_for DESC LIMIT 1
) AS last ON true
ORDER BY j.job
