SELECT coalesce((SELECT sum(amount_paise) FROM payments WHERE order_id = $1 AND rank >= 3), 0)::bigint,
       coalesce((SELECT sum(refunds.amount_paise) FROM refunds JOIN payments ON payments.id = refunds.payment_id
                 WHERE payments.order_id = $1 AND refunds.status = 'processed'), 0)::bigint
