-- Many reports in one statement, whatever their order. Rows are locked by their keys' order, so that two batches cannot wait for
-- each other.
WITH told AS (
    SELECT DISTINCT ON (given.notification_id, given.provider_event) given.*, notifications.channel, notifications.address_hash
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::timestamptz[], $7::text[], $8::text[])
         WITH ORDINALITY
         AS given (notification_id, provider_event, status, rank, reason, occurred_at, shunned_categories, shunned_reason, place)
    JOIN notifications ON notifications.id = given.notification_id
    ORDER BY given.notification_id, given.provider_event, given.place
), fresh AS (
    INSERT INTO notification_events (notification_id, provider_event, status, reason, occurred_at)
    SELECT notification_id, provider_event, status, reason, occurred_at FROM told ORDER BY notification_id, provider_event
    ON CONFLICT DO NOTHING
    RETURNING notification_id, provider_event
), news AS (
    SELECT told.* FROM told JOIN fresh USING (notification_id, provider_event)
), last AS (
    -- Of two states with the same rank the word decides, so that it does not matter which is told first.
    SELECT DISTINCT ON (notification_id) notification_id, rank, status,
           min(occurred_at) OVER (PARTITION BY notification_id) AS first_at
    FROM news ORDER BY notification_id, rank DESC, status COLLATE "C" DESC
), explained AS (
    SELECT DISTINCT ON (notification_id) notification_id, rank, status, reason
    FROM news WHERE reason <> '' ORDER BY notification_id, rank DESC, status COLLATE "C" DESC, place
), locked AS (
    SELECT id FROM notifications WHERE id IN (SELECT notification_id FROM last) ORDER BY id FOR NO KEY UPDATE
), moved AS (
    UPDATE notifications
    SET status = last.status, rank = last.rank, updated_at = now(), sent_at = coalesce(notifications.sent_at, last.first_at),
        reason = CASE WHEN (explained.rank, explained.status COLLATE "C") > (notifications.rank, notifications.status COLLATE "C")
                      THEN explained.reason ELSE notifications.reason END
    FROM locked JOIN last ON last.notification_id = locked.id LEFT JOIN explained ON explained.notification_id = locked.id
    WHERE notifications.id = locked.id
      AND (last.rank, last.status COLLATE "C") > (notifications.rank, notifications.status COLLATE "C")
), shunned AS (
    INSERT INTO suppressions (channel, address_hash, category, reason)
    SELECT DISTINCT ON (channel, address_hash, category) channel, address_hash, category, shunned_reason
    FROM news, unnest(string_to_array(shunned_categories, ' ')) AS category
    ORDER BY channel, address_hash, category, place
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM fresh
