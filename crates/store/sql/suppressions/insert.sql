INSERT INTO suppressions (channel, address_hash, category, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
