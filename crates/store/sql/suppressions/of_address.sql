SELECT category, reason, created_at FROM suppressions WHERE channel = $1 AND address_hash = $2 ORDER BY category
