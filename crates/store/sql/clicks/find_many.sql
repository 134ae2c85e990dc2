SELECT c.id, c.offer_id, c.merchant_id, c.network, u.id, c.rate_bps, c.cap_paise, c.offer_version, c.class, c.clicked_at,
       c.correlation_id, c.traceparent
FROM unnest($1::uuid[]) AS wanted (id)
JOIN affiliate_clicks c ON c.id = wanted.id
LEFT JOIN users u ON u.id = c.user_id
