INSERT INTO services_seen (service, workers, last_beat) VALUES ($1, $2, $3)
ON CONFLICT (service) DO UPDATE SET workers = excluded.workers, last_beat = greatest(services_seen.last_beat, excluded.last_beat)
