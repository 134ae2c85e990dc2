SELECT ensure_month_partitions('affiliate_clicks', $1::date, $2)
