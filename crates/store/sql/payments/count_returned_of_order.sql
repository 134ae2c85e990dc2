SELECT count(*) FROM payments
WHERE order_id = $1 AND rank >= 3 AND amount_paise <= (
    SELECT coalesce(sum(refunds.amount_paise), 0) FROM refunds
    WHERE refunds.payment_id = payments.id AND refunds.status = 'processed')
