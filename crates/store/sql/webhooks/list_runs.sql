SELECT id, source, verdict, worked_off, since, until, groups, per_second, previewed_by, previewed_at, state, started_by, started_at,
       asked, moved_at
FROM webhook_replay_runs WHERE ($1::uuid IS NULL OR id = $1) ORDER BY id DESC LIMIT $2
