SELECT id, job, scheduled_for, cause, status, dry_run, attempt, passed_over, worker, requested_by, reason, report, error,
       started_at, finished_at
FROM cron_runs
WHERE id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) AND ($1::text IS NULL OR job = $1)
  AND scheduled_for < coalesce($2, 'infinity'::timestamptz)
ORDER BY id DESC LIMIT $4
