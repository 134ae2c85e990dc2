INSERT INTO orders (id, user_id, total_paise, provider_order_id) VALUES ($1, $2, $3, $4)
