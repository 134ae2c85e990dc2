INSERT INTO disputes (id, provider_dispute_id, provider_payment_id, order_id, amount_paise, status, rank, respond_by)
VALUES ($1, $2, $3, (SELECT order_id FROM payments WHERE provider_payment_id = $3), $4, $5, $6, $7)
ON CONFLICT (provider_dispute_id) DO UPDATE
SET status = excluded.status, rank = excluded.rank, order_id = coalesce(disputes.order_id, excluded.order_id),
    respond_by = coalesce(excluded.respond_by, disputes.respond_by), updated_at = now()
WHERE disputes.rank < excluded.rank
