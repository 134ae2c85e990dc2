INSERT INTO inventory (product_id, stock, low_stock_at)
VALUES ($1, $2, $3)
ON CONFLICT (product_id) DO UPDATE SET stock = excluded.stock, low_stock_at = excluded.low_stock_at, updated_at = now()
