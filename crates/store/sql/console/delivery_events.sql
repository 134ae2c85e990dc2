SELECT occurred_at, status, reason FROM notification_events WHERE notification_id = $1 ORDER BY occurred_at, recorded_at
