SELECT t.network, t.id
FROM unmatched_transactions u
JOIN affiliate_transactions t ON t.id = u.transaction_id
-- Not `EXISTS … OR EXISTS`: Postgres would keep a hash of all clicks.
JOIN LATERAL (
    (SELECT 1 FROM affiliate_clicks c WHERE c.id = t.claimed_click_id LIMIT 1)
    UNION ALL
    (SELECT 1 FROM affiliate_transactions s
     WHERE t.claimed_click_id IS NULL AND s.merchant_id = t.merchant_id AND s.external_order_id = t.external_order_id
       AND s.click_id IS NOT NULL
     LIMIT 1)
    LIMIT 1) AS match ON true
WHERE u.resolved_at IS NULL AND u.reason IN ('unknown_click', 'no_click') AND t.click_id IS NULL
LIMIT $1
