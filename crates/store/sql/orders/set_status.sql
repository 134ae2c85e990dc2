UPDATE orders SET status = $2, paid_at = coalesce(paid_at, now()) WHERE id = $1 AND status <> $2
