INSERT INTO webhook_effects (webhook_id, replay_id, effect, about) VALUES ($1, $3, $2, $4) ON CONFLICT DO NOTHING
