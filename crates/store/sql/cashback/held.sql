SELECT id, user_id FROM cashback_events WHERE status = 'confirmed' AND funded AND held_until <= $1 ORDER BY held_until LIMIT $2
