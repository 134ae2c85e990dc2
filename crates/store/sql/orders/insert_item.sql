INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise)
SELECT $1, $2, products.id, $4, products.price_paise FROM products WHERE products.id = $3 AND active
RETURNING unit_price_paise
