DELETE FROM suppressions WHERE channel = $1 AND address_hash = $2 AND ($3::text IS NULL OR category = $3)
RETURNING category, reason, created_at
