INSERT INTO message_previews (channel, template, lang, subject, body, html) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (channel, template, lang) DO UPDATE
SET subject = excluded.subject, body = excluded.body, html = excluded.html, written_at = now()
WHERE (message_previews.subject, message_previews.body, message_previews.html) IS DISTINCT FROM (excluded.subject, excluded.body, excluded.html)
