SELECT id, name FROM merchants WHERE id = ANY ($1)
