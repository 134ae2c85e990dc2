SELECT c.id, c.user_id, s.name, c.clicked_at, c.offer_id
FROM affiliate_transactions t
JOIN affiliate_clicks c ON c.merchant_id = t.merchant_id AND c.user_id IS NOT NULL
     AND c.id BETWEEN uuid_floor(t.occurred_at - interval '30 days') AND uuid_floor(t.occurred_at + interval '1 hour')
LEFT JOIN users s ON s.id = c.user_id
WHERE t.id = $1
ORDER BY abs(extract(epoch FROM c.clicked_at - t.occurred_at)) LIMIT 10
