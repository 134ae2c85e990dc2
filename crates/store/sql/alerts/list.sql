SELECT id, key, title, detail, opened_at, closed_at FROM alerts ORDER BY closed_at IS NOT NULL, opened_at DESC LIMIT $1
