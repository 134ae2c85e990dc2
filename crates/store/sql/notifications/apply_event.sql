WITH fresh AS (
    INSERT INTO notification_events (notification_id, provider_event, status, reason, occurred_at)
    SELECT notifications.id, $2, $3, $5, $6 FROM notifications WHERE notifications.id = $1
    ON CONFLICT DO NOTHING
    RETURNING notification_id
), moved AS (
    UPDATE notifications
    SET status = $3, rank = $4, reason = CASE WHEN $5 = '' THEN notifications.reason ELSE $5 END, updated_at = now(),
        sent_at = coalesce(notifications.sent_at, $6)
    FROM fresh
    -- Of two states with the same rank the word decides, so that it does not matter which is told first.
    WHERE notifications.id = fresh.notification_id
      AND ($4, $3 COLLATE "C") > (notifications.rank, notifications.status COLLATE "C")
), shunned AS (
    INSERT INTO suppressions (channel, address_hash, category, reason)
    SELECT notifications.channel, notifications.address_hash, shunned_category, $8
    FROM fresh JOIN notifications ON notifications.id = fresh.notification_id, unnest($7::text[]) AS shunned_category
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM fresh)
