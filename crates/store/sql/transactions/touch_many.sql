UPDATE affiliate_transactions t SET observed_at = n.observed_at, status_updated_at = n.status_updated_at
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS n (id, observed_at, status_updated_at)
WHERE t.id = n.id
