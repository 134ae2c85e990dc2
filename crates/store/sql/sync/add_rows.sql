INSERT INTO sync_run_rows (run_id, external_id, has_id, currency, commission)
SELECT DISTINCT ON (n.external_id) $1, n.external_id, n.has_id, n.currency, n.commission::numeric
FROM unnest($2::text[], $3::boolean[], $4::text[], $5::text[]) WITH ORDINALITY AS n (external_id, has_id, currency, commission, place)
ORDER BY n.external_id, n.place DESC
ON CONFLICT (run_id, external_id) DO UPDATE SET currency = excluded.currency, commission = excluded.commission
