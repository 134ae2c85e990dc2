INSERT INTO webhook_effects (webhook_id, replay_id, effect) VALUES ($1, $3, $2) ON CONFLICT DO NOTHING
