SELECT count(*), min(created_at) FROM webhook_pending
