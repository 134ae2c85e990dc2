UPDATE sync_runs
SET page_cursor = $2, pages = pages + 1, rows_read = rows_read + $3, rows_new = rows_new + $4, rows_changed = rows_changed + $5,
    rows_matched = rows_matched + $6, rows_unmatched = rows_unmatched + $7, rows_quarantined = rows_quarantined + $8,
    commission_paise = commission_paise + $9, beat_at = now()
WHERE id = $1 AND status = 'running' AND resumed = $10
