UPDATE sync_runs SET status = $2, error = $3, finished_at = now(), beat_at = now() WHERE id = $1 AND status = 'running' AND resumed = $4
