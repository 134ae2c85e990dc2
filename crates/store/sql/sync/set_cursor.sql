INSERT INTO sync_cursors (network, read_up_to, run_id) VALUES ($1, $2, $3)
ON CONFLICT (network) DO UPDATE SET read_up_to = excluded.read_up_to, run_id = excluded.run_id, updated_at = now()
WHERE sync_cursors.read_up_to < excluded.read_up_to
