INSERT INTO notification_events (notification_id, provider_event, status, reason, occurred_at)
SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT FROM notifications WHERE id = $1)
ON CONFLICT DO NOTHING
