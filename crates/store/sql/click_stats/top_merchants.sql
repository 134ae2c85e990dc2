SELECT counted.merchant_id, coalesce(merchants.name, ''), counted.clicks
FROM (
    SELECT merchant_id, count(*) AS clicks
    FROM affiliate_clicks
    WHERE id >= uuid_floor($1) AND clicked_at >= $1 AND class = 'human'
    GROUP BY merchant_id
    ORDER BY clicks DESC, merchant_id
    LIMIT $2
) AS counted
LEFT JOIN merchants ON merchants.id = counted.merchant_id
ORDER BY counted.clicks DESC, counted.merchant_id
