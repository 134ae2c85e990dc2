INSERT INTO inventory_feeds (source, failed_at, error) VALUES ($1, now(), $2)
ON CONFLICT (source) DO UPDATE SET failed_at = now(), error = excluded.error
