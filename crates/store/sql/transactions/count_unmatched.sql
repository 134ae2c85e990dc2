SELECT count(*) FROM unmatched_transactions WHERE resolved_at IS NULL
