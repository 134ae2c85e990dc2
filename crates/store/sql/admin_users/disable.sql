UPDATE admin_users SET disabled_at = coalesce(disabled_at, now()) WHERE id = $1
