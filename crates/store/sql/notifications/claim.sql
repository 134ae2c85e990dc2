INSERT INTO notifications (id, event_key, channel, template, lang, user_id, recipient, provider, status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'sending')
ON CONFLICT (event_key, channel, template) DO UPDATE
SET status = 'sending', claimed_at = now(), attempts = notifications.attempts + 1, provider = excluded.provider, updated_at = now()
WHERE notifications.status = 'retry'
   OR (notifications.status IN ('sending', 'unknown') AND notifications.claimed_at < now() - make_interval(secs => $9))
RETURNING id
