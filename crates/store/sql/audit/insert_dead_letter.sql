INSERT INTO dead_letter_log (id, queue, job_id, kind, action, died_at, why, error, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
