-- The rows of one transaction as they are now, with what the neighbours say: whether the row fits its own input hash, and
-- what the shopper's balance was before it.
SELECT w.seq, w.kind, w.amount_paise, w.balance_after_paise, w.created_at,
       w.input_hash = transfer_hash(w.debit_account, w.credit_account, w.amount_paise, w.kind),
       CASE WHEN w.user_id = w.debit_account THEN -w.amount_paise ELSE w.amount_paise END,
       (SELECT before.balance_after_paise FROM wallet_transactions before
        WHERE before.user_id = w.user_id AND before.seq < w.seq ORDER BY before.seq DESC LIMIT 1)
FROM wallet_transactions w WHERE w.id = $1
