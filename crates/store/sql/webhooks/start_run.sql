UPDATE webhook_replay_runs SET state = 'running', started_by = $2, started_at = now(), moved_at = now() - interval '1 second'
WHERE id = $1 AND state = 'previewed'
