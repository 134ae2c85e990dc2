SELECT id, user_id, amount_paise, status, fund_account_id, payout_id, utr, failure_reason, requested_at, processed_at, returned_at, updated_at
FROM withdrawals WHERE id = $1
