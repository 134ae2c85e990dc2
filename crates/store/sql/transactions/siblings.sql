SELECT t.merchant_id, t.external_order_id, t.click_id
FROM unnest($1::uuid[], $2::text[]) AS wanted (merchant_id, order_id)
JOIN affiliate_transactions t ON t.merchant_id = wanted.merchant_id AND t.external_order_id = wanted.order_id
WHERE t.click_id IS NOT NULL
GROUP BY 1, 2, 3
