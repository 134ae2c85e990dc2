SELECT id, user_id, amount_paise, status, fund_account_id, payout_id, utr, failure_reason, requested_at, processed_at, returned_at, updated_at
FROM withdrawals
WHERE id < coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid) AND requested_at < coalesce($3, 'infinity'::timestamptz)
  AND CASE WHEN $1::uuid IS NULL THEN true ELSE user_id = $1 END
  AND CASE WHEN $2::text IS NULL THEN true ELSE status = $2 END
ORDER BY id DESC
LIMIT $5
