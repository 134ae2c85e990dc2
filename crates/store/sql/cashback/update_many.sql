UPDATE cashback_events e
SET status = n.status, amount_paise = n.amount, credited_paise = n.credited, funded = n.funded, postings = n.postings, revision = n.revision,
    held_until = n.held_until, confirmed_at = n.confirmed_at, updated_at = now()
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::int[], $7::int[], $8::timestamptz[], $9::timestamptz[])
     AS n (id, status, amount, credited, funded, postings, revision, held_until, confirmed_at)
WHERE e.id = n.id
