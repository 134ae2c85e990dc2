SELECT id, merchant_id, title, kind, face_value_paise, price_paise, active FROM products WHERE id = ANY ($1)
