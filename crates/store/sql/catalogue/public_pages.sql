SELECT kind, id, updated_at FROM (
    SELECT 'merchant' AS kind, id, updated_at FROM merchants WHERE active
    UNION ALL
    SELECT 'offer', o.id, greatest(o.updated_at, m.updated_at) FROM offers o JOIN merchants m ON m.id = o.merchant_id
    WHERE o.active AND m.active AND (o.expires_at IS NULL OR o.expires_at > $1)
    UNION ALL
    SELECT 'product', id, updated_at FROM products WHERE active
) AS pages
WHERE kind = ANY ($2)
ORDER BY kind, id
