UPDATE unmatched_transactions SET resolved_at = now(), resolved_by = $2 WHERE transaction_id = ANY ($1) AND resolved_at IS NULL
