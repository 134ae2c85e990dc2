INSERT INTO refunds (id, payment_id, provider_refund_id, amount_paise, status, rank)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (provider_refund_id) DO UPDATE
SET status = excluded.status, rank = excluded.rank, updated_at = now()
WHERE refunds.rank < excluded.rank
