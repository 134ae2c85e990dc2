UPDATE admin_sessions s SET seen_at = now()
FROM admin_users u
WHERE s.token_hash = $1 AND s.expires_at > now() AND s.seen_at > now() - make_interval(secs => $2)
  AND u.id = s.admin_id AND u.disabled_at IS NULL
RETURNING u.id, u.email, u.name, u.role, s.csrf_token
