SELECT price_paise FROM products WHERE id = $1 AND active
