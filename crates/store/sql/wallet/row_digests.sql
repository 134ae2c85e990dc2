SELECT seq, id, amount_paise,
       sha256(convert_to(concat_ws('|', seq, id, debit_account, credit_account, amount_paise, kind, idempotency_key,
                                   encode(input_hash, 'hex'), coalesce(user_id::text, '-'), coalesce(balance_after_paise::text, '-'),
                                   reason, (extract(epoch FROM created_at) * 1000000)::bigint), 'UTF8'))
FROM wallet_transactions WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3
