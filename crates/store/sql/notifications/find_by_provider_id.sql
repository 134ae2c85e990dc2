SELECT id FROM notifications WHERE provider_message_id = $1 AND channel = $2 AND ($3::bytea IS NULL OR address_hash = $3) ORDER BY id LIMIT 2
