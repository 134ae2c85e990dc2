SELECT r.network, coalesce(max(c.read_up_to), min(r.started_at)) FROM sync_runs r LEFT JOIN sync_cursors c ON c.network = r.network
GROUP BY r.network
