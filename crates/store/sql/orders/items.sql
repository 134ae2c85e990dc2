SELECT order_items.id, order_items.product_id, products.title, products.kind, order_items.quantity, order_items.unit_price_paise
FROM order_items JOIN products ON products.id = order_items.product_id
WHERE order_id = $1 ORDER BY order_items.id
