INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise) VALUES ($1, $2, $3, $4, $5)
