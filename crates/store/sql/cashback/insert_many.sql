INSERT INTO cashback_events (id, transaction_id, user_id, click_id, merchant_id, status, amount_paise, credited_paise, funded, postings,
                             rate_bps, cap_paise, rule_version, held_until, confirmed_at, occurred_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[], $9::boolean[],
                     $10::int[], $11::int[], $12::bigint[], $13::int[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[])
