UPDATE withdrawals SET utr = $2, updated_at = now() WHERE id = $1 AND utr IS NULL
