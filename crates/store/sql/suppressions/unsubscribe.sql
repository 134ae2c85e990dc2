INSERT INTO suppressions (channel, address_hash, category, reason)
SELECT channel, address_hash, category, 'unsubscribed' FROM notifications WHERE id = $1 AND category = 'reminder'
ON CONFLICT (channel, address_hash, category) DO UPDATE SET reason = suppressions.reason
