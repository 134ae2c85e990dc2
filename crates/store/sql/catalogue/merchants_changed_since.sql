SELECT id FROM merchants WHERE updated_at >= $1
