SELECT id, name, scopes, created_by, created_at, last_used_at, expires_at, revoked_at FROM api_tokens ORDER BY created_at DESC
