SELECT a.place
FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS a (source, event_id, body_key, place)
JOIN webhook_receipts AS r ON r.source = a.source AND r.event_id = a.event_id AND r.body_key = a.body_key
