UPDATE webhook_replay_runs SET state = 'aborted', moved_at = now() WHERE id = $1 AND state = 'running'
