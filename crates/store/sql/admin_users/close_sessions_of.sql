DELETE FROM admin_sessions WHERE admin_id = $1
