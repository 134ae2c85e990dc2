INSERT INTO outbox (id, queue, urgent, kind, payload, traceparent, correlation_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::json[], $6::text[], $7::text[])
