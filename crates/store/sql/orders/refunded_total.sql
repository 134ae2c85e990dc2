SELECT coalesce(sum(amount_paise), 0)::bigint FROM refunds WHERE payment_id = $1 AND status = 'processed'
