SELECT products.id, products.title, inventory.stock, inventory.low_stock_at
FROM inventory
JOIN products ON products.id = inventory.product_id
WHERE products.active AND inventory.stock <= inventory.low_stock_at
ORDER BY inventory.stock, products.id
