SELECT t.merchant_id, t.external_order_id, sum(e.amount_paise)::bigint
FROM (SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[]) AS named (merchant_id, order_id)) AS wanted
JOIN affiliate_transactions t ON t.merchant_id = wanted.merchant_id AND t.external_order_id = wanted.order_id
JOIN cashback_events e ON e.transaction_id = t.id AND e.status NOT IN ('declined', 'reversed')
GROUP BY 1, 2
