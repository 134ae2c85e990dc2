INSERT INTO api_tokens (id, name, token_hash, scopes, created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (token_hash) DO UPDATE SET scopes = excluded.scopes, expires_at = excluded.expires_at, revoked_at = NULL
