INSERT INTO affiliate_transaction_history (transaction_id, revision, raw_status, status, funded, sale_paise, commission_paise,
                                           status_updated_at, observed_at, source)
SELECT n.*, $10
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::timestamptz[]) AS n
