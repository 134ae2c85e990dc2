SELECT count(*) FROM voucher_codes WHERE order_item_id = $1 AND revoked_at IS NULL
