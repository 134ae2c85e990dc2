SELECT id, name, email, mobile, lang, created_at, frozen_at
FROM users
WHERE lower(email) = lower($1) OR mobile = $1 OR lower(name) LIKE lower($2)
ORDER BY id DESC
LIMIT $3
