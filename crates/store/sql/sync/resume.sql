UPDATE sync_runs SET resumed = resumed + 1, beat_at = now() WHERE id = $1 AND status = 'running'
