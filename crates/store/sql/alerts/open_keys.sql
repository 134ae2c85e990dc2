SELECT key FROM alerts WHERE closed_at IS NULL AND starts_with(key, $1)
