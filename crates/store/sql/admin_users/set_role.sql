UPDATE admin_users SET role = $2 WHERE id = $1
