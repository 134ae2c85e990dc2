UPDATE webhook_logs SET processed_at = now(), effect = $2 WHERE id = $1
