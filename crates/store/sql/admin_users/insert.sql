INSERT INTO admin_users (id, email, name, password_hash, role) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (email) DO UPDATE SET name = excluded.name, password_hash = excluded.password_hash, role = excluded.role,
                                  disabled_at = NULL
RETURNING id
