UPDATE webhook_replays SET finished_at = now(), outcome = $2, report = $3 WHERE id = $1 AND finished_at IS NULL
