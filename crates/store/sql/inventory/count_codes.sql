WITH free AS (
    SELECT p.id, (SELECT count(*) FROM voucher_codes c WHERE c.product_id = p.id AND c.order_item_id IS NULL)::int AS stock
    FROM products p WHERE p.kind = 'voucher'
), changed AS (
    UPDATE inventory i SET stock = free.stock, updated_at = now() FROM free WHERE i.product_id = free.id AND i.stock <> free.stock
    RETURNING i.product_id
), added AS (
    INSERT INTO inventory (product_id, stock)
    SELECT free.id, free.stock FROM free WHERE NOT EXISTS (SELECT FROM inventory i WHERE i.product_id = free.id)
    ON CONFLICT DO NOTHING
    RETURNING product_id
)
SELECT (SELECT count(*) FROM changed) + (SELECT count(*) FROM added)
