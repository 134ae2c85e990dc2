SELECT id, transaction_id, status, amount_paise, credited_paise, funded, postings, revision, rate_bps, cap_paise, rule_version, held_until,
       confirmed_at, occurred_at
FROM cashback_events WHERE transaction_id = ANY ($1)
