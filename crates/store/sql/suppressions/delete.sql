DELETE FROM suppressions WHERE channel = $1 AND address_hash = $2 AND category = $3
