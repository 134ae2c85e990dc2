-- What a row belongs to: the trace that caused it, and the id that people search for. Rows of before, and of versions and
-- producers that say nothing, have none.

ALTER TABLE outbox ADD COLUMN correlation_id text;
-- Promises made by functions, such as request_withdrawal, take it from whoever called in this transaction.
ALTER TABLE outbox ALTER COLUMN correlation_id SET DEFAULT nullif(current_setting('shop.correlation_id', true), '');

-- A click's own trail: what its commission causes weeks later goes on with it.
ALTER TABLE affiliate_clicks ADD COLUMN correlation_id text, ADD COLUMN traceparent text;

ALTER TABLE notifications ADD COLUMN correlation_id text;

ALTER TABLE webhook_logs ADD COLUMN correlation_id text;
ALTER TABLE webhook_pending ADD COLUMN correlation_id text;

-- The same as the function of sixteen arrays, which the version before calls, with what each webhook belongs to.
CREATE FUNCTION record_webhooks(
    ids uuid[], sources text[], event_ids text[], events text[], bodies bytea[], hashes bytea[], keys bytea[],
    header_lists text[], remotes text[], verdicts text[], reasons text[], times timestamptz[],
    queues text[], kinds text[], payloads text[], traces text[], correlations text[])
RETURNS TABLE (webhook_id uuid, verdict text)
LANGUAGE plpgsql
-- The arrays are small and the receipts are many: look them up by their index, whatever the statistics say today.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    undecided int;
    claimed int;
BEGIN
    SELECT count(*) INTO undecided FROM unnest(verdicts) AS given WHERE given IS NULL;
    -- In the order of the key, so that two batches that share keys cannot wait for each other.
    INSERT INTO webhook_receipts (source, event_id, body_key, webhook_id)
    SELECT a.source, a.event_id, a.body_key, a.id
    FROM unnest(ids, sources, event_ids, keys, verdicts) AS a (id, source, event_id, body_key, given)
    WHERE a.given IS NULL
    ORDER BY a.source, a.event_id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS claimed = ROW_COUNT;
    IF claimed < undecided THEN
        -- A known event id with a body that nobody has seen: it is signed, so it counts, by its body.
        INSERT INTO webhook_receipts (source, event_id, body_key, webhook_id)
        SELECT a.source, a.event_id || '~' || encode(a.body_key, 'hex'), a.body_key, a.id
        FROM unnest(ids, sources, event_ids, keys, verdicts) AS a (id, source, event_id, body_key, given)
        JOIN webhook_receipts r ON r.source = a.source AND r.event_id = a.event_id AND r.body_key <> a.body_key
        WHERE a.given IS NULL
        ORDER BY a.source, a.event_id, a.body_key
        ON CONFLICT DO NOTHING;
    END IF;

    RETURN QUERY
    WITH judged AS (
        SELECT a.*, coalesce(b.webhook_id, r.webhook_id) AS holder,
               CASE WHEN a.given IS NOT NULL THEN a.given
                    WHEN b.webhook_id = a.id AND b.event_id = a.event_id THEN 'accepted'
                    WHEN b.webhook_id = a.id THEN 'conflict'
                    ELSE 'duplicate' END AS found,
               r.webhook_id AS namesake
        FROM unnest(ids, sources, event_ids, events, bodies, hashes, keys, header_lists, remotes, verdicts, reasons, times,
                    queues, kinds, payloads, traces, correlations)
             AS a (id, source, event_id, event, body, hash, body_key, headers, remote, given, reason, at,
                   queue, kind, payload, trace, correlation)
        LEFT JOIN webhook_receipts b ON a.given IS NULL AND b.source = a.source AND b.body_key = a.body_key
        LEFT JOIN webhook_receipts r ON a.given IS NULL AND r.source = a.source AND r.event_id = a.event_id
    ), logged AS (
        INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, reason, received_at,
                                  correlation_id)
        SELECT id, source, event_id, event, CASE found WHEN 'duplicate' THEN ''::bytea ELSE body END, hash, headers::jsonb, remote,
               found,
               CASE found WHEN 'duplicate' THEN 'first came as ' || coalesce(holder::text, '?')
                          WHEN 'conflict' THEN 'its event id came before, with another body, as ' || coalesce(namesake::text, '?')
                          ELSE reason END,
               at, correlation
        FROM judged
    ), waiting AS (
        INSERT INTO webhook_pending (webhook_id, queue, kind, payload, traceparent, correlation_id)
        SELECT id, queue, kind, payload, trace, correlation FROM judged WHERE found IN ('accepted', 'conflict') AND kind IS NOT NULL
    )
    SELECT id, found FROM judged;
END
$$;
