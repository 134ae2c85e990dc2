SELECT c.id, c.correlation_id, c.traceparent
FROM unnest($1::uuid[]) AS wanted (id)
JOIN affiliate_clicks c ON c.id = wanted.id
WHERE c.correlation_id IS NOT NULL
