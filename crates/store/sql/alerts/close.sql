UPDATE alerts SET closed_at = now() WHERE key = $1 AND closed_at IS NULL RETURNING id, title
