UPDATE inventory SET stock = greatest(stock - $2, 0), updated_at = now() WHERE product_id = $1
