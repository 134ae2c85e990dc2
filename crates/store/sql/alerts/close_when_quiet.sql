UPDATE alerts SET closed_at = now()
WHERE key = $1 AND closed_at IS NULL AND seen_at < now() - make_interval(secs => $2)
RETURNING id, title
