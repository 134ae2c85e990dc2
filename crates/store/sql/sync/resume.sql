UPDATE sync_runs SET resumed = resumed + 1, beat_at = now() WHERE id = $1 AND status = 'running'
RETURNING id, network, requested, read_window, requested_by, status, page_cursor, pages, rows_read, rows_new, rows_changed, rows_matched,
          rows_unmatched, rows_quarantined, commission_paise, resumed, error, started_at, finished_at
