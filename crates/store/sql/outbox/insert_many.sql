INSERT INTO outbox (id, queue, urgent, kind, payload)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::jsonb[])
