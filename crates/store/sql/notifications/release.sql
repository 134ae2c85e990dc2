UPDATE notifications SET status = 'retry', updated_at = now() WHERE id = $1 AND status = 'unknown'
