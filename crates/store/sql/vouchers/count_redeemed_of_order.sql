SELECT count(*) FROM voucher_codes JOIN order_items ON order_items.id = voucher_codes.order_item_id
WHERE order_items.order_id = $1 AND redeemed_at IS NOT NULL
