SELECT id FROM offers WHERE updated_at >= $1
