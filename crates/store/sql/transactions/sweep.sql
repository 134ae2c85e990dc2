SELECT t.network, t.id
FROM unmatched_transactions u
JOIN affiliate_transactions t ON t.id = u.transaction_id
WHERE u.resolved_at IS NULL AND u.reason IN ('unknown_click', 'no_click') AND t.click_id IS NULL
  AND (EXISTS (SELECT FROM affiliate_clicks c WHERE c.id = t.claimed_click_id)
       OR t.claimed_click_id IS NULL
          AND EXISTS (SELECT FROM affiliate_transactions s
                      WHERE s.merchant_id = t.merchant_id AND s.external_order_id = t.external_order_id AND s.click_id IS NOT NULL))
LIMIT $1
