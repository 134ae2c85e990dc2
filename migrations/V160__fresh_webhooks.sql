-- Nearly every batch of webhooks holds only what never came before, and then nothing has to be looked up: that its receipts could be
-- written is the verdict. Only where a key is taken is a batch judged row by row, as all of them were. And no call is planned anew:
-- the arrays of a batch say nothing about where its rows lie.

-- Both keys began with the source. On a small table it looks no dearer to find a body among all that came from its source by the
-- other index, and the plan stays when the table has grown: each webhook read every receipt of its source.
CREATE UNIQUE INDEX webhook_receipts_said ON webhook_receipts (body_key, source);
DROP INDEX webhook_receipts_body;

CREATE FUNCTION judge_webhooks(
    ids uuid[], sources text[], event_ids text[], events text[], bodies bytea[], hashes bytea[], keys bytea[],
    header_lists text[], remotes text[], verdicts text[], reasons text[], times timestamptz[],
    queues text[], kinds text[], payloads text[], traces text[], correlations text[])
RETURNS TABLE (webhook_id uuid, verdict text)
LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
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
        LEFT JOIN webhook_receipts b ON a.given IS NULL AND b.body_key = a.body_key AND b.source || '' = a.source
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

CREATE OR REPLACE FUNCTION record_webhooks(
    ids uuid[], sources text[], event_ids text[], events text[], bodies bytea[], hashes bytea[], keys bytea[],
    header_lists text[], remotes text[], verdicts text[], reasons text[], times timestamptz[],
    queues text[], kinds text[], payloads text[], traces text[], correlations text[])
RETURNS TABLE (webhook_id uuid, verdict text)
LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    BEGIN
        -- In the order of the key, so that two batches that share keys cannot wait for each other. A plain insert finds out by itself
        -- that a key is taken; ON CONFLICT looks for each key first.
        INSERT INTO webhook_receipts (source, event_id, body_key, webhook_id)
        SELECT a.source, a.event_id, a.body_key, a.id
        FROM unnest(ids, sources, event_ids, keys, verdicts) AS a (id, source, event_id, body_key, given)
        WHERE a.given IS NULL
        ORDER BY a.source, a.event_id;
    EXCEPTION WHEN unique_violation THEN
        RETURN QUERY SELECT * FROM judge_webhooks(
            ids, sources, event_ids, events, bodies, hashes, keys, header_lists, remotes, verdicts, reasons, times,
            queues, kinds, payloads, traces, correlations);
        RETURN;
    END;

    INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, reason, received_at,
                              correlation_id)
    SELECT a.id, a.source, a.event_id, a.event, a.body, a.hash, a.headers::jsonb, a.remote, coalesce(a.given, 'accepted'), a.reason,
           a.at, a.correlation
    FROM unnest(ids, sources, event_ids, events, bodies, hashes, header_lists, remotes, verdicts, reasons, times, correlations)
         AS a (id, source, event_id, event, body, hash, headers, remote, given, reason, at, correlation);
    INSERT INTO webhook_pending (webhook_id, queue, kind, payload, traceparent, correlation_id)
    SELECT a.id, a.queue, a.kind, a.payload, a.trace, a.correlation
    FROM unnest(ids, verdicts, queues, kinds, payloads, traces, correlations)
         AS a (id, given, queue, kind, payload, trace, correlation)
    WHERE a.given IS NULL AND a.kind IS NOT NULL;
    RETURN QUERY SELECT a.id, coalesce(a.given, 'accepted') FROM unnest(ids, verdicts) AS a (id, given);
END
$$;

ALTER FUNCTION forget_pending_webhooks(uuid[]) SET plan_cache_mode = force_generic_plan;
