INSERT INTO api_tokens (id, name, token_hash, scopes, created_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (token_hash) DO UPDATE SET scopes = excluded.scopes, revoked_at = NULL
