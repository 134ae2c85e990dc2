SELECT ensure_month_partitions(to_regclass($1::text), (now() - interval '1 month')::date, $2)
