SELECT name, expires_at FROM api_tokens WHERE revoked_at IS NULL AND expires_at IS NOT NULL ORDER BY expires_at LIMIT $1
