SELECT id, user_id, amount_paise, status, fund_account_id, payout_id, utr, failure_reason, requested_at, processed_at, returned_at, updated_at
FROM withdrawals
WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::text IS NULL OR status = $2) AND requested_at < coalesce($3, 'infinity'::timestamptz)
ORDER BY requested_at DESC
LIMIT $4
