WITH new AS (
    INSERT INTO suppressions (channel, address_hash, category, reason)
    SELECT DISTINCT ON (given.address_hash, given.category) $1, given.address_hash, given.category, given.reason
    FROM unnest($2::bytea[], $3::text[], $4::text[]) WITH ORDINALITY AS given (address_hash, category, reason, place)
    ORDER BY given.address_hash, given.category, given.place
    ON CONFLICT DO NOTHING
    RETURNING address_hash
)
SELECT count(DISTINCT address_hash) FROM new
