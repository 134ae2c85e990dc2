SELECT repair_wallet($1, $2)
