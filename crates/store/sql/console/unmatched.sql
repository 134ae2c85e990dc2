SELECT t.id, t.network, t.external_transaction_id, t.external_order_id, m.name, t.sale_paise, t.commission_paise, t.raw_status,
       u.reason, t.occurred_at, u.noted_at, t.sub_id
FROM unmatched_transactions u
JOIN affiliate_transactions t ON t.id = u.transaction_id
LEFT JOIN merchants m ON m.id = t.merchant_id
WHERE u.resolved_at IS NULL AND t.id < $1
ORDER BY t.id DESC LIMIT $2
