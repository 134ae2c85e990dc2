UPDATE voucher_codes SET order_item_id = $2, allocated_at = now()
WHERE id IN (SELECT id FROM voucher_codes WHERE product_id = $1 AND order_item_id IS NULL ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
