INSERT INTO webhook_replay_runs (id, source, verdict, worked_off, since, until, groups, per_second, previewed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
