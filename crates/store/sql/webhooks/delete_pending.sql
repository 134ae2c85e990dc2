DELETE FROM webhook_pending WHERE webhook_id = ANY ($1)
