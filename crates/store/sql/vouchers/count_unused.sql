SELECT count(*) FROM voucher_codes WHERE product_id = $1 AND order_item_id IS NULL AND revoked_at IS NULL
