INSERT INTO unmatched_transactions (transaction_id, reason)
SELECT * FROM unnest($1::uuid[], $2::text[])
ON CONFLICT (transaction_id) DO UPDATE SET reason = excluded.reason
WHERE unmatched_transactions.resolved_at IS NULL AND unmatched_transactions.reason <> excluded.reason
-- A row that was there already has been updated by this transaction.
RETURNING transaction_id, xmax = 0
