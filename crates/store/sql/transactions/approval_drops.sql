WITH decisions AS (
    SELECT DISTINCT ON (h.transaction_id, h.recorded_at >= now() - interval '7 days') t.merchant_id,
           h.recorded_at >= now() - interval '7 days' AS is_recent, h.status <> 'declined' AS is_approved
    FROM affiliate_transaction_history h
    JOIN affiliate_transactions t ON t.id = h.transaction_id
    WHERE t.network = $1 AND t.merchant_id IS NOT NULL AND h.status <> 'pending' AND h.recorded_at >= now() - interval '35 days'
    ORDER BY h.transaction_id, h.recorded_at >= now() - interval '7 days', h.revision DESC
), shares AS (
    SELECT merchant_id,
           count(*) FILTER (WHERE is_recent) AS decided_now, count(*) FILTER (WHERE is_recent AND is_approved) AS approved_now,
           count(*) FILTER (WHERE NOT is_recent) AS decided_before,
           count(*) FILTER (WHERE NOT is_recent AND is_approved) AS approved_before
    FROM decisions GROUP BY merchant_id
)
SELECT s.merchant_id, m.name, s.decided_now, s.approved_now, s.decided_before, s.approved_before
FROM shares s JOIN merchants m ON m.id = s.merchant_id
WHERE s.decided_now >= 20 AND s.decided_before >= 20
  AND s.approved_now * s.decided_before * 100 < s.approved_before * s.decided_now * (100 - $2::bigint)
