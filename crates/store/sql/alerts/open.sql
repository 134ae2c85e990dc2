INSERT INTO alerts (id, key, title, detail) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE SET seen_at = now(), detail = excluded.detail
RETURNING id = $1
