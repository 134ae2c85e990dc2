INSERT INTO wallet_repairs (id, user_id, drift_paise, reason, requested_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id) WHERE status = 'requested' DO NOTHING
