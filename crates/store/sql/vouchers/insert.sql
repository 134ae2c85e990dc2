INSERT INTO voucher_codes (id, product_id, sealed) VALUES ($1, $2, $3)
