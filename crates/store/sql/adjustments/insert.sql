INSERT INTO adjustments (id, user_id, amount_paise, reason, requested_by) VALUES ($1, $2, $3, $4, $5)
