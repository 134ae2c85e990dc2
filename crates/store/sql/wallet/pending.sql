SELECT e.id, e.status, m.name, c.id, c.clicked_at, c.rate_bps, t.network, t.external_transaction_id, t.external_order_id, t.sale_paise,
       t.commission_paise,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('at', coalesce(h.status_updated_at, h.observed_at), 'status', h.status,
                                                     'raw_status', h.raw_status, 'commission_paise', h.commission_paise)
                                  ORDER BY h.revision), '[]')
        FROM affiliate_transaction_history h WHERE h.transaction_id = t.id),
       e.amount_paise, e.cap_paise, e.rule_version
FROM cashback_events e
JOIN affiliate_transactions t ON t.id = e.transaction_id
JOIN merchants m ON m.id = e.merchant_id
LEFT JOIN affiliate_clicks c ON c.id = e.click_id
WHERE e.user_id = $1 AND e.status = 'pending'
ORDER BY e.occurred_at DESC
LIMIT $2
