SELECT version, nullif(valid_from, '-infinity'), order_cap_paise, month_cap_paise, holding_days
FROM cashback_rules ORDER BY valid_from DESC, version DESC
