INSERT INTO payments (id, order_id, provider_payment_id, amount_paise, status, rank)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (provider_payment_id) DO UPDATE
SET status = excluded.status, rank = excluded.rank, updated_at = now()
WHERE payments.rank < excluded.rank
