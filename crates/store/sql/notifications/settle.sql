UPDATE notifications
SET status = $2, provider_message_id = coalesce($3, provider_message_id), reason = $4, updated_at = now(),
    sent_at = CASE WHEN $2 = 'sent' THEN now() ELSE sent_at END
WHERE id = $1 AND status IN ('sending', 'unknown', 'retry')
