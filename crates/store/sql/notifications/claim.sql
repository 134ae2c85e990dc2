-- Many messages in one statement; no two of them may have the same (event_key, channel, template).
WITH asked AS (
    SELECT given.*, known.id IS NOT NULL AS is_known
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::bytea[],
                $10::text[], $11::timestamptz[], $12::boolean[], $13::int[], $14::int[], $15::text[]) WITH ORDINALITY
         AS given (id, event_key, channel, template, lang, category, user_id, recipient, address_hash,
                   provider, queued_at, newest_wins, per_hour, per_day, correlation_id, position)
    -- Not `EXISTS`: Postgres would rather read all messages into a table of its own than look up these few.
    LEFT JOIN LATERAL (
        SELECT id FROM notifications
        WHERE notifications.event_key = given.event_key AND notifications.channel = given.channel
          AND notifications.template = given.template
        LIMIT 1) AS known ON true
), among AS (
    -- Rows of one statement do not see each other, and a burst to one address comes in one statement.
    SELECT *,
           row_number() OVER (PARTITION BY channel, address_hash, is_known ORDER BY position) - 1 AS before_it,
           max(queued_at) OVER (PARTITION BY channel, address_hash, template) AS newest
    FROM asked
), judged AS MATERIALIZED (
    -- Once for each message: the state is named three times below.
    SELECT among.*, suppressed.reason AS suppression,
           CASE
               WHEN suppressed.reason IS NOT NULL THEN 'suppressed'
               WHEN newest_wins AND (newest > queued_at OR EXISTS (
                   SELECT FROM notifications AS newer
                   WHERE newer.address_hash = among.address_hash AND newer.channel = among.channel
                     AND newer.template = among.template AND newer.queued_at > among.queued_at)) THEN 'superseded'
               -- What was let through once is not held back because it has to be tried again.
               WHEN NOT is_known AND per_hour > 0 AND per_hour <= before_it + (
                   SELECT count(*) FROM notifications AS sent
                   WHERE sent.address_hash = among.address_hash AND sent.channel = among.channel
                     AND sent.created_at > now() - interval '1 hour'
                     AND sent.status NOT IN ('suppressed', 'superseded', 'throttled', 'expired')) THEN 'throttled'
               WHEN NOT is_known AND per_day > 0 AND per_day <= before_it + (
                   SELECT count(*) FROM notifications AS sent
                   WHERE sent.address_hash = among.address_hash AND sent.channel = among.channel
                     AND sent.created_at > now() - interval '1 day'
                     AND sent.status NOT IN ('suppressed', 'superseded', 'throttled', 'expired')) THEN 'throttled'
               ELSE 'sending'
           END AS status
    FROM among
    LEFT JOIN LATERAL (
        SELECT reason FROM suppressions
        WHERE suppressions.channel = among.channel AND suppressions.address_hash = among.address_hash
          AND suppressions.category IN ('all', among.category)
        LIMIT 1) AS suppressed ON true
)
INSERT INTO notifications (id, event_key, channel, template, lang, category, user_id, recipient, address_hash, provider, queued_at,
                           status, rank, reason, correlation_id)
SELECT id, event_key, channel, template, lang, category,
       -- Other producers may name a shopper who is gone; the message is sent all the same.
       (SELECT users.id FROM users WHERE users.id = judged.user_id),
       recipient, address_hash, provider, queued_at, status, CASE status WHEN 'sending' THEN 0 ELSE 1 END,
       coalesce(suppression, CASE status WHEN 'throttled' THEN 'too many to this address' WHEN 'superseded' THEN 'a newer one was asked for' END, ''), correlation_id
FROM judged
ON CONFLICT (event_key, channel, template) DO UPDATE
SET status = excluded.status, rank = excluded.rank, reason = excluded.reason, claimed_at = now(), provider = excluded.provider,
    attempts = notifications.attempts + 1, updated_at = now()
WHERE notifications.status = 'retry'
RETURNING event_key, channel, template, id, status, reason, attempts
