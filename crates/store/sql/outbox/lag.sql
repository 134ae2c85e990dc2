SELECT count(*), min(created_at) FROM outbox WHERE relayed_at IS NULL
