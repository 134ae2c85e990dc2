UPDATE quarantined_transactions SET resolved_at = now()
WHERE network = $1 AND external_transaction_id = ANY ($2) AND resolved_at IS NULL
