SELECT subject, body, html, written_at FROM message_previews WHERE channel = $1 AND template = $2 AND lang = $3
