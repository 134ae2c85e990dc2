-- Only those that can be filled: else so many that cannot would keep all later ones from their turn. An order has a line a product.
SELECT id
FROM orders
WHERE status = 'held' AND (
    SELECT bool_and(products.kind <> 'voucher' OR order_items.quantity <= (
        SELECT count(*) FROM voucher_codes WHERE order_item_id = order_items.id AND revoked_at IS NULL
    ) + (
        SELECT count(*) FROM (
            SELECT FROM voucher_codes WHERE product_id = order_items.product_id AND order_item_id IS NULL
            LIMIT order_items.quantity) AS free
    ))
    FROM order_items JOIN products ON products.id = order_items.product_id
    WHERE order_items.order_id = orders.id)
ORDER BY paid_at LIMIT $1
