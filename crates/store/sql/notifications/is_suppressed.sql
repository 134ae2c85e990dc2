SELECT reason FROM suppressions WHERE channel = $1 AND address_hash = $2
