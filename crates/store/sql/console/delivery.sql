SELECT id, event_key, channel, template, lang, recipient, status, attempts, provider, reason, created_at, updated_at,
       category, user_id, provider_message_id, parts, sent_at
FROM notifications WHERE id = $1
