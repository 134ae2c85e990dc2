DELETE FROM admin_sessions WHERE expires_at <= now() OR seen_at <= now() - make_interval(secs => $1)
