SELECT id, name, email, mobile, lang, created_at, frozen_at FROM users WHERE id = $1
