SELECT id, network, status, requested_by, pages, rows_read, rows_new, rows_changed, rows_matched, rows_unmatched, rows_quarantined,
       commission_paise, error, started_at, finished_at
FROM sync_runs ORDER BY started_at DESC LIMIT $1
