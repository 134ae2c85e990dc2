UPDATE inventory SET stock = stock + $2, updated_at = now() WHERE product_id = $1 AND stock + $2 >= 0
