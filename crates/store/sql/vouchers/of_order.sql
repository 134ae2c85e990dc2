SELECT order_items.id, voucher_codes.id, voucher_codes.sealed
FROM order_items JOIN voucher_codes ON voucher_codes.order_item_id = order_items.id
WHERE order_items.order_id = $1 AND voucher_codes.revoked_at IS NULL ORDER BY voucher_codes.id
