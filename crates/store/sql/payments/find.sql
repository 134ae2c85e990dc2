SELECT payments.id, orders.provider_order_id
FROM payments JOIN orders ON orders.id = payments.order_id WHERE provider_payment_id = $1
