SELECT id, user_id, status, total_paise FROM orders WHERE provider_order_id = $1 FOR UPDATE
