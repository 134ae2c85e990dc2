DELETE FROM sync_run_rows WHERE run_id = $1
