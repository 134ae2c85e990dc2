UPDATE users SET frozen_at = coalesce(frozen_at, now()) WHERE id = $1
