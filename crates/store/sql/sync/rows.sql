SELECT CASE WHEN has_id THEN external_id END, currency, commission::text FROM sync_run_rows WHERE run_id = $1
