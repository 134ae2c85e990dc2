-- What every later family of tables builds on: month partitions over UUIDv7 keys, append-only tables, the outbox.

-- The lowest UUIDv7 of an instant. Ranges over ids then are ranges over time, and the id itself stays unique.
CREATE FUNCTION uuid_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (substr(millis, 1, 8) || '-' || substr(millis, 9, 4) || '-0000-0000-000000000000')::uuid
    FROM (SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')) AS hexadecimal(millis)
$$;

-- Makes the partitions <parent>_YYYY_MM for `months` months from `first`, UTC. Safe to run again and by several at once.
CREATE FUNCTION ensure_month_partitions(parent regclass, first date, months int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    month date;
    made int := 0;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_month_partitions'));
    FOR offset_months IN 0 .. months - 1 LOOP
        month := (date_trunc('month', first) + make_interval(months => offset_months))::date;
        child := parent::text || to_char(month, '"_"YYYY"_"MM');
        IF to_regclass(child) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', child, parent,
                uuid_floor(month::timestamp AT TIME ZONE 'UTC'),
                uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

-- Attach to tables whose rows are history: BEFORE UPDATE OR DELETE FOR EACH ROW, BEFORE TRUNCATE FOR EACH STATEMENT.
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;

-- Jobs that a commit promises. The relay pushes them to Redis and then marks them.
CREATE TABLE outbox (
    id          uuid PRIMARY KEY,
    queue       text NOT NULL CHECK (queue IN ('clicks', 'email', 'sms', 'cashback', 'payments', 'receipts')),
    urgent      boolean NOT NULL DEFAULT false,
    kind        text NOT NULL CHECK (kind <> ''),
    payload     jsonb NOT NULL,
    not_before  timestamptz,
    dedupe_key  text UNIQUE,
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    relayed_at  timestamptz
);
CREATE INDEX outbox_waiting ON outbox (id) WHERE relayed_at IS NULL;

CREATE FUNCTION announce_outbox() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER outbox_announced AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION announce_outbox();
