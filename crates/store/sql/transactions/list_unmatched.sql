SELECT t.id, t.network, t.external_transaction_id, t.sub_id, t.external_order_id, t.campaign_id, m.name, t.sale_paise, t.commission_paise,
       t.status, t.occurred_at, u.reason, u.noted_at
FROM unmatched_transactions u
JOIN affiliate_transactions t ON t.id = u.transaction_id
LEFT JOIN merchants m ON m.id = t.merchant_id
WHERE u.resolved_at IS NULL AND u.transaction_id < coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
ORDER BY u.transaction_id DESC
LIMIT $2
