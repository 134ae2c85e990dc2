UPDATE outbox SET relayed_at = now() WHERE id = ANY ($1)
