UPDATE users SET frozen_at = NULL WHERE id = $1
