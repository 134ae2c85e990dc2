INSERT INTO queue_samples (queue, taken_at, waiting, in_flight, delayed, dead, oldest_age_s, done)
VALUES ($1, date_trunc('minute', $2::timestamptz), $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
