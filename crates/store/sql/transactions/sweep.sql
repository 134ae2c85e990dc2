SELECT t.network, t.id
FROM unmatched_transactions u
JOIN affiliate_transactions t ON t.id = u.transaction_id
-- Not `EXISTS … OR EXISTS`: Postgres would keep a hash of all clicks.
JOIN LATERAL (
    (SELECT 1 FROM affiliate_clicks c WHERE c.id = t.claimed_click_id LIMIT 1)
    UNION ALL
    -- A click that went through another network is none of this transaction's: it would be found again and again.
    (SELECT 1 FROM affiliate_transactions s
     JOIN affiliate_clicks c ON c.id = s.click_id AND c.network = t.network
     WHERE t.claimed_click_id IS NULL AND s.merchant_id = t.merchant_id AND s.external_order_id = t.external_order_id
     LIMIT 1)
    LIMIT 1) AS match ON true
WHERE u.resolved_at IS NULL AND u.reason IN ('unknown_click', 'no_click') AND t.click_id IS NULL
LIMIT $1
