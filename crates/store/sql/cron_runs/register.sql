INSERT INTO cron_jobs (job, about, schedule, zone, words, next_runs, known_since, previous_run)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8)
ON CONFLICT (job) DO UPDATE
SET about = excluded.about, schedule = excluded.schedule, zone = excluded.zone, words = excluded.words,
    next_runs = excluded.next_runs, previous_run = excluded.previous_run, updated_at = now()
