SELECT counted.offer_id, coalesce(offers.title, ''), coalesce(merchants.name, ''), counted.clicks
FROM (
    SELECT offer_id, count(*) AS clicks
    FROM affiliate_clicks
    WHERE id >= uuid_floor($1) AND clicked_at >= $1 AND class = 'human'
    GROUP BY offer_id
    ORDER BY clicks DESC, offer_id
    LIMIT $2
) AS counted
LEFT JOIN offers ON offers.id = counted.offer_id
LEFT JOIN merchants ON merchants.id = offers.merchant_id
ORDER BY counted.clicks DESC, counted.offer_id
