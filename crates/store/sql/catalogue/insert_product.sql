INSERT INTO products (id, merchant_id, title, kind, face_value_paise, price_paise, active) VALUES ($1, $2, $3, $4, $5, $6, $7)
