-- What the request belongs to is named first: the entry and the promise that the function makes take it from there.
SELECT w.id, w.user_id, w.amount_paise, w.status, w.fund_account_id, w.payout_id, w.utr, w.failure_reason, w.requested_at,
       w.processed_at, w.returned_at, w.updated_at
FROM (SELECT set_config('shop.correlation_id', coalesce($6, ''), true) AS named OFFSET 0) AS trail
CROSS JOIN LATERAL request_withdrawal($1, $2, $3, $4, CASE WHEN trail.named IS NOT NULL THEN $5::text END) AS w
