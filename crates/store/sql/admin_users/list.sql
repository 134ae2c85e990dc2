SELECT id, email, name, role, password_hash, created_at, last_login_at, disabled_at FROM admin_users ORDER BY email
