-- A row of webhook_pending lives for milliseconds, so to the statistics the table is empty while tens of thousands of dead rows
-- lie in it until the next vacuum. A plan made of those statistics read all of them for each batch: at 2,000 webhooks a second
-- three quarters of what Postgres did. By its key a row is found whatever lies around it.
CREATE FUNCTION forget_pending_webhooks(ids uuid[]) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM webhook_pending WHERE webhook_id = ANY (ids);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

ALTER TABLE webhook_pending SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- A plan that must not read a table in whole is priced so high that it would be compiled each time.
ALTER FUNCTION record_webhooks(
    uuid[], text[], text[], text[], bytea[], bytea[], bytea[], text[], text[], text[], text[], timestamptz[],
    text[], text[], text[], text[], text[]) SET jit = off;
