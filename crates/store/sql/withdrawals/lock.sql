SELECT id, user_id, amount_paise, status, fund_account_id, payout_id, utr, failure_reason, requested_at, processed_at, returned_at, updated_at,
       provider_rank
FROM withdrawals WHERE id = $1 OR payout_id = $2
ORDER BY id
FOR UPDATE
