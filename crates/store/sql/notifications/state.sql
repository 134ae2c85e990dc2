SELECT id, status, attempts, extract(epoch FROM now() - claimed_at)::double precision
FROM notifications WHERE event_key = $1 AND channel = $2 AND template = $3
