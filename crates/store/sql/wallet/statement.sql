SELECT w.id, w.seq, w.created_at, w.kind, CASE WHEN w.credit_account = w.user_id THEN w.amount_paise ELSE -w.amount_paise END,
       w.balance_after_paise, e.id, e.status, m.name, c.id, c.clicked_at, c.rate_bps, t.network, t.external_transaction_id,
       t.external_order_id, t.sale_paise, t.commission_paise,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('at', coalesce(h.status_updated_at, h.observed_at), 'status', h.status,
                                                     'raw_status', h.raw_status, 'commission_paise', h.commission_paise)
                                  ORDER BY h.revision), '[]')
        FROM affiliate_transaction_history h WHERE h.transaction_id = t.id),
       d.id, d.status, w.reason, e.amount_paise, e.cap_paise, e.rule_version,
       b.cause, b.status_before, b.status
FROM wallet_transactions w
LEFT JOIN cashback_events e ON e.id = (w.reason->>'cashback_id')::uuid
LEFT JOIN affiliate_transactions t ON t.id = e.transaction_id
LEFT JOIN merchants m ON m.id = e.merchant_id
LEFT JOIN affiliate_clicks c ON c.id = e.click_id
LEFT JOIN cashback_history b ON b.cashback_id = e.id AND b.wallet_transaction_id = w.id
LEFT JOIN withdrawals d ON d.id = (w.reason->>'withdrawal_id')::uuid
WHERE w.user_id = $1 AND w.seq < coalesce($2::bigint, 9223372036854775807)
ORDER BY w.seq DESC
LIMIT $3
