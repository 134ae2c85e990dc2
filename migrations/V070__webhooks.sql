-- Every webhook as it came, the keys by which one is known to have come before, the jobs that wait to be pushed, and
-- what each webhook did.

-- Evidence: rows are written once and never changed. What became of a webhook stands in webhook_effects.
CREATE TABLE webhook_logs (
    id             uuid NOT NULL,
    source         text NOT NULL CHECK (source <> ''),
    event_id       text NOT NULL CHECK (event_id <> ''),
    event          text NOT NULL,
    -- The exact bytes (of a GET the query). Empty for a duplicate: the first one holds them. Of a postback the values of
    -- tokens and of personal parameters are left out; of a rejected request only the beginning is kept.
    body           bytea NOT NULL,
    -- Of the bytes as they came.
    body_sha256    bytea NOT NULL CHECK (length(body_sha256) = 32),
    -- Without secrets: only headers of a fixed list are kept.
    headers        jsonb NOT NULL,
    remote_address text NOT NULL,
    -- accepted: first of its kind. duplicate: seen before. conflict: new and verified, but under an event id that came with
    -- another body: worked off all the same, and an alarm.
    -- malformed: verified, but not what the contract says. rejected: not verified.
    verdict        text NOT NULL CHECK (verdict IN ('accepted', 'duplicate', 'conflict', 'malformed', 'rejected')),
    reason         text NOT NULL DEFAULT '',
    received_at    timestamptz NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX webhook_logs_source ON webhook_logs (source, id);
CREATE TRIGGER webhook_logs_kept BEFORE UPDATE OR DELETE ON webhook_logs FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER webhook_logs_kept_whole BEFORE TRUNCATE ON webhook_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
SELECT ensure_month_partitions('webhook_logs', (now() - interval '1 month')::date, 4);

-- A unique key cannot span partitions, so the keys have a table of their own. The event id header of Razorpay is not
-- signed: what was said is a key as well.
CREATE TABLE webhook_receipts (
    source      text NOT NULL,
    event_id    text NOT NULL,
    body_key    bytea NOT NULL CHECK (length(body_key) = 32),
    webhook_id  uuid NOT NULL,
    PRIMARY KEY (source, event_id)
);
CREATE UNIQUE INDEX webhook_receipts_body ON webhook_receipts (source, body_key);

-- Jobs of accepted webhooks that are not on their list yet. A row lives for milliseconds, unless Redis is down.
CREATE TABLE webhook_pending (
    webhook_id  uuid PRIMARY KEY,
    queue       text NOT NULL CHECK (queue IN ('cashback', 'payments', 'receipts')),
    kind        text NOT NULL CHECK (kind <> ''),
    payload     text NOT NULL CHECK (payload <> ''),
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Somebody asked for a webhook to be worked off again, or to see what that would do. The id is new each time, so a second
-- replay is a replay of its own.
CREATE TABLE webhook_replays (
    id           uuid PRIMARY KEY,
    webhook_id   uuid NOT NULL,
    requested_by text NOT NULL CHECK (requested_by <> ''),
    dry_run      boolean NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    -- applied: the effect is what the report says. previewed: nothing was changed. handed_on: another service works it off.
    outcome      text CHECK (outcome IN ('applied', 'previewed', 'handed_on')),
    report       text,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_replays_of ON webhook_replays (webhook_id);

-- What a webhook did, written in the transaction that did it: once by itself, and once for each replay.
CREATE TABLE webhook_effects (
    webhook_id uuid NOT NULL,
    replay_id  uuid REFERENCES webhook_replays (id),
    effect     text NOT NULL CHECK (effect <> ''),
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX webhook_effects_own ON webhook_effects (webhook_id) WHERE replay_id IS NULL;
CREATE UNIQUE INDEX webhook_effects_replay ON webhook_effects (replay_id) WHERE replay_id IS NOT NULL;
CREATE INDEX webhook_effects_of ON webhook_effects (webhook_id);

-- Records many webhooks in one statement and says what the keys make of each. A null verdict is decided here; a row whose
-- verdict is given is only logged. The receipts are claimed first and read after it, with a fresh snapshot, so a key that
-- another transaction took a moment ago is seen.
CREATE FUNCTION record_webhooks(
    ids uuid[], sources text[], event_ids text[], events text[], bodies bytea[], hashes bytea[], keys bytea[],
    header_lists text[], remotes text[], verdicts text[], reasons text[], times timestamptz[],
    queues text[], kinds text[], payloads text[], traces text[])
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
                    queues, kinds, payloads, traces)
             AS a (id, source, event_id, event, body, hash, body_key, headers, remote, given, reason, at,
                   queue, kind, payload, trace)
        LEFT JOIN webhook_receipts b ON a.given IS NULL AND b.source = a.source AND b.body_key = a.body_key
        LEFT JOIN webhook_receipts r ON a.given IS NULL AND r.source = a.source AND r.event_id = a.event_id
    ), logged AS (
        INSERT INTO webhook_logs (id, source, event_id, event, body, body_sha256, headers, remote_address, verdict, reason, received_at)
        SELECT id, source, event_id, event, CASE found WHEN 'duplicate' THEN ''::bytea ELSE body END, hash, headers::jsonb, remote,
               found,
               CASE found WHEN 'duplicate' THEN 'first came as ' || coalesce(holder::text, '?')
                          WHEN 'conflict' THEN 'its event id came before, with another body, as ' || coalesce(namesake::text, '?')
                          ELSE reason END,
               at
        FROM judged
    ), waiting AS (
        INSERT INTO webhook_pending (webhook_id, queue, kind, payload, traceparent)
        SELECT id, queue, kind, payload, trace FROM judged WHERE found IN ('accepted', 'conflict') AND kind IS NOT NULL
    )
    SELECT id, found FROM judged;
END
$$;
