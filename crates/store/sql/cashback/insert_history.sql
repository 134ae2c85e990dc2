INSERT INTO cashback_history (cashback_id, revision, status_before, status, amount_before_paise, amount_paise, posted_paise,
                              wallet_transaction_id, transaction_revision, cause)
SELECT n.*, $10 FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::uuid[], $9::int[]) AS n
