INSERT INTO suppressions (channel, address_hash, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
