INSERT INTO sync_runs (id, network, requested, read_window, requested_by, status) VALUES ($1, $2, $3, $4, $5, 'running')
