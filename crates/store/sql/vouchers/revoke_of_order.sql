UPDATE voucher_codes SET revoked_at = now()
FROM order_items
WHERE order_items.id = voucher_codes.order_item_id AND order_items.order_id = $1 AND revoked_at IS NULL AND redeemed_at IS NULL
