WITH feed AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::int[]) AS f (product, stock, low_stock_at)
), known AS MATERIALIZED (
    SELECT p.id, p.kind, f.stock, f.low_stock_at FROM feed f JOIN products p ON p.sku = f.product
    UNION
    SELECT p.id, p.kind, f.stock, f.low_stock_at FROM feed f JOIN products p ON p.id::text = lower(f.product)
), changed AS (
    UPDATE inventory i SET stock = k.stock, low_stock_at = coalesce(k.low_stock_at, i.low_stock_at), updated_at = now()
    FROM known k
    WHERE i.product_id = k.id AND k.kind = 'physical'
      AND (i.stock, i.low_stock_at) IS DISTINCT FROM (k.stock, coalesce(k.low_stock_at, i.low_stock_at))
    RETURNING i.product_id
), added AS (
    INSERT INTO inventory (product_id, stock, low_stock_at)
    SELECT k.id, k.stock, coalesce(k.low_stock_at, 10) FROM known k
    WHERE k.kind = 'physical' AND NOT EXISTS (SELECT FROM inventory i WHERE i.product_id = k.id)
    ON CONFLICT DO NOTHING
    RETURNING product_id
)
SELECT (SELECT count(*) FROM known), (SELECT count(DISTINCT id) FROM known), (SELECT count(*) FROM known WHERE kind = 'voucher'),
       (SELECT count(*) FROM changed) + (SELECT count(*) FROM added)
