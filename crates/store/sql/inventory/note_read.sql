INSERT INTO inventory_feeds (source, read_at, rows) VALUES ($1, now(), $2)
ON CONFLICT (source) DO UPDATE SET read_at = now(), rows = excluded.rows
