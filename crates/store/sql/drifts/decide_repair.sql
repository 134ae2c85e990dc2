UPDATE wallet_repairs SET status = $3, decided_by = $2, decided_at = now()
WHERE id = $1 AND status = 'requested' AND requested_by <> $2
