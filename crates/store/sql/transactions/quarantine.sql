-- A row that stands several times in a page is seen so often, and stays as it came last.
INSERT INTO quarantined_transactions (network, external_transaction_id, reason, raw_status, detail, raw, times_seen)
SELECT DISTINCT ON (n.network, n.external_id) n.network, n.external_id, n.reason, n.raw_status, n.detail, n.raw::json,
       (count(*) OVER (PARTITION BY n.network, n.external_id))::int
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
     AS n (network, external_id, reason, raw_status, detail, raw, place)
ORDER BY n.network, n.external_id, n.place DESC
ON CONFLICT (network, external_transaction_id) DO UPDATE
SET reason = excluded.reason, raw_status = excluded.raw_status, detail = excluded.detail, raw = excluded.raw, last_seen_at = now(),
    times_seen = quarantined_transactions.times_seen + excluded.times_seen, resolved_at = NULL
