SELECT ensure_month_partitions('webhook_logs', current_date, 3)
