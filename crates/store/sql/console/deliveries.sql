SELECT id, event_key, channel, template, lang, recipient, status, attempts, provider, reason, created_at, updated_at
FROM notifications WHERE id < $1 AND ($2 = '' OR status = $2) ORDER BY id DESC LIMIT $3
