SELECT EXISTS (SELECT FROM sync_runs WHERE network = $1 AND status = 'running')
