SELECT ensure_month_partitions(to_regclass($1), $2, 1)
