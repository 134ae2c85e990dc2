SELECT coalesce(sum(row_count), 0)::bigint FROM wallet_seals
