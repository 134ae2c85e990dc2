SELECT network, external_transaction_id, reason, raw_status, detail, first_seen_at, last_seen_at, times_seen
FROM quarantined_transactions WHERE resolved_at IS NULL ORDER BY last_seen_at DESC LIMIT $1
