-- Runs of cron jobs, what operators did, who may use the API, what is wrong just now.

-- What the running scheduler knows, written by it, so that others can show it; and pauses, written by operators.
CREATE TABLE cron_jobs (
    job          text PRIMARY KEY,
    about        text NOT NULL,
    schedule     text NOT NULL,
    zone         text NOT NULL,
    words        text NOT NULL,
    next_runs    timestamptz[] NOT NULL DEFAULT '{}',
    previous_run timestamptz,
    -- Nominal times before it are nobody's: the job did not exist.
    known_since  timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    paused_at    timestamptz,
    paused_by    text,
    pause_reason text,
    paused_until timestamptz,
    CHECK ((paused_at IS NULL) = (paused_by IS NULL) AND (paused_at IS NULL) = (pause_reason IS NULL)),
    CHECK (paused_until IS NULL OR paused_at IS NOT NULL)
);

-- Grows with every claim of every run: a holder with an older token has lost its run.
CREATE SEQUENCE cron_tokens;

CREATE TABLE cron_runs (
    id            uuid PRIMARY KEY,
    job           text NOT NULL CHECK (job <> ''),
    -- The nominal time. A run begins when it begins; this is what it is a run of.
    scheduled_for timestamptz NOT NULL,
    cause         text NOT NULL CHECK (cause IN ('schedule', 'manual')),
    status        text NOT NULL CHECK (status IN ('requested', 'running', 'succeeded', 'failed', 'skipped')),
    -- At most one run of its job at a time.
    exclusive     boolean NOT NULL DEFAULT true,
    dry_run       boolean NOT NULL DEFAULT false,
    token         bigint NOT NULL DEFAULT nextval('cron_tokens'),
    attempt       int NOT NULL DEFAULT 1 CHECK (attempt > 0),
    -- Earlier nominal times that the catch-up policy passed over in favour of this one.
    passed_over   int NOT NULL DEFAULT 0,
    worker        text,
    lease_until   timestamptz,
    requested_by  text,
    reason        text,
    report        jsonb NOT NULL DEFAULT '{}',
    error         text,
    traceparent   text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    started_at    timestamptz,
    finished_at   timestamptz,
    UNIQUE (job, scheduled_for),
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed', 'skipped')) = (finished_at IS NOT NULL)),
    CHECK (cause = 'schedule' OR requested_by IS NOT NULL)
);
CREATE UNIQUE INDEX cron_runs_one_running ON cron_runs (job) WHERE status = 'running' AND exclusive;
CREATE INDEX cron_runs_open ON cron_runs (created_at) WHERE status IN ('requested', 'running');
CREATE INDEX cron_runs_newest ON cron_runs (created_at DESC);

CREATE FUNCTION announce_cron() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('cron', NEW.job);
    RETURN NULL;
END
$$;
CREATE TRIGGER cron_runs_requested AFTER INSERT ON cron_runs
    FOR EACH ROW WHEN (NEW.status = 'requested') EXECUTE FUNCTION announce_cron();

-- The last thing before the COMMIT of a job's own writes, in the same round trip: a run that was taken over cannot write.
CREATE FUNCTION cron_fence(run uuid, held bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM cron_runs WHERE id = run AND token = held AND status = 'running' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % is not held with token % any more', run, held USING ERRCODE = 'CR001';
    END IF;
END
$$;

-- What is wrong now. One open row per key: one message when it begins, one when it ends.
CREATE TABLE alerts (
    id        uuid PRIMARY KEY,
    key       text NOT NULL CHECK (key <> ''),
    title     text NOT NULL,
    detail    text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    seen_at   timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);
CREATE UNIQUE INDEX alerts_open ON alerts (key) WHERE closed_at IS NULL;
CREATE INDEX alerts_newest ON alerts (opened_at DESC);

-- When workers of a service were last alive: their own signs of life are gone after seconds.
CREATE TABLE services_seen (
    service    text PRIMARY KEY,
    workers    int NOT NULL,
    last_beat  timestamptz NOT NULL
);

-- What queues looked like, minute by minute, for the charts.
CREATE TABLE queue_samples (
    queue        text NOT NULL,
    taken_at     timestamptz NOT NULL,
    waiting      bigint NOT NULL,
    in_flight    bigint NOT NULL,
    delayed      bigint NOT NULL,
    dead         bigint NOT NULL,
    oldest_age_s bigint,
    done         bigint NOT NULL,
    PRIMARY KEY (queue, taken_at)
);

-- Every action of an operator or a program. History: rows go only with their whole month.
CREATE TABLE audit_logs (
    id             uuid NOT NULL,
    at             timestamptz NOT NULL DEFAULT now(),
    admin_id       uuid,
    actor          text NOT NULL CHECK (actor <> ''),
    role           text NOT NULL,
    action         text NOT NULL CHECK (action <> ''),
    target         text NOT NULL DEFAULT '',
    reason         text NOT NULL DEFAULT '',
    before         jsonb,
    after          jsonb,
    remote_address text NOT NULL DEFAULT '',
    traceparent    text,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX audit_logs_target ON audit_logs (target, id) WHERE target <> '';
CREATE INDEX audit_logs_actor ON audit_logs (actor, id);
SELECT ensure_month_partitions('audit_logs', (now() - interval '1 month')::date, 4);
CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What became of dead letters: the letter itself leaves Redis when it is replayed or deleted.
CREATE TABLE dead_letter_log (
    id       uuid NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    queue    text NOT NULL,
    job_id   text NOT NULL,
    kind     text NOT NULL,
    action   text NOT NULL CHECK (action IN ('replayed', 'deleted')),
    died_at  timestamptz NOT NULL,
    why      text NOT NULL,
    error    text NOT NULL,
    actor    text NOT NULL CHECK (actor <> ''),
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX dead_letter_log_job ON dead_letter_log (job_id);
SELECT ensure_month_partitions('dead_letter_log', (now() - interval '1 month')::date, 4);

-- For programs. The token itself is shown once; only its SHA-256 is here.
CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CHECK (name <> ''),
    token_hash   bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);

-- Money moved by hand: asked for by one person, decided by another.
CREATE TABLE adjustments (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id),
    -- Below zero takes from the wallet.
    amount_paise bigint NOT NULL CHECK (amount_paise <> 0),
    reason       text NOT NULL CHECK (length(reason) >= 10),
    status       text NOT NULL DEFAULT 'requested' CHECK (status IN ('requested', 'approved', 'refused')),
    requested_by uuid NOT NULL REFERENCES admin_users (id),
    requested_at timestamptz NOT NULL DEFAULT now(),
    decided_by   uuid REFERENCES admin_users (id),
    decided_at   timestamptz,
    wallet_transaction_id uuid,
    CHECK ((status = 'requested') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by <> requested_by),
    CHECK ((status = 'approved') = (wallet_transaction_id IS NOT NULL))
);
CREATE INDEX adjustments_open ON adjustments (requested_at) WHERE status = 'requested';
