UPDATE adjustments
SET status = CASE WHEN $3::uuid IS NULL THEN 'refused' ELSE 'approved' END, decided_by = $2, decided_at = now(), wallet_transaction_id = $3
WHERE id = $1 AND status = 'requested' AND requested_by <> $2
