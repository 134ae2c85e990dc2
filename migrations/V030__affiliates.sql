-- What the networks say: their transactions in our words, every accepted change of them, the runs that fetched them, and
-- what could not be used.

CREATE TABLE affiliate_transactions (
    id                      uuid PRIMARY KEY,
    network                 text NOT NULL CHECK (network IN ('admitad', 'vcommission', 'cuelinks')),
    external_transaction_id text NOT NULL CHECK (external_transaction_id <> '' AND length(external_transaction_id) <= 200),
    -- The click that the returned sub-id names. It may be on its way still; click_id is set when it is found.
    claimed_click_id        uuid,
    sub_id                  text,
    click_id                uuid,
    user_id                 uuid REFERENCES users (id),
    merchant_id             uuid REFERENCES merchants (id),
    matched_by              text CHECK (matched_by IN ('click', 'order', 'operator')),
    matched_at              timestamptz,
    campaign_id             text,
    external_order_id       text,
    -- In paise; a foreign currency keeps the original amounts and the rate, which is frozen when first seen.
    sale_paise              bigint CHECK (sale_paise >= 0),
    commission_paise        bigint NOT NULL CHECK (commission_paise >= 0),
    currency                text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    original_sale           numeric,
    original_commission     numeric,
    fx_rate                 numeric CHECK (fx_rate > 0),
    raw_status              text NOT NULL,
    status                  text NOT NULL CHECK (status IN ('pending', 'confirmed', 'payable', 'declined')),
    funded                  boolean NOT NULL,
    decline_reason          text,
    occurred_at             timestamptz NOT NULL,
    -- The network's own order of states, where it has one, then the time at which we asked for what is stored here.
    status_updated_at       timestamptz,
    observed_at             timestamptz NOT NULL,
    revision                int NOT NULL DEFAULT 1 CHECK (revision > 0),
    raw                     json NOT NULL,
    first_seen_at           timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    UNIQUE (network, external_transaction_id),
    CHECK ((currency = 'INR') = (fx_rate IS NULL) AND (currency = 'INR') = (original_commission IS NULL)),
    CHECK ((click_id IS NULL) = (matched_by IS NULL) AND (click_id IS NULL) = (matched_at IS NULL)),
    CHECK (user_id IS NULL OR click_id IS NOT NULL)
) WITH (fillfactor = 85);

CREATE INDEX affiliate_transactions_awaited ON affiliate_transactions (claimed_click_id)
    WHERE click_id IS NULL AND claimed_click_id IS NOT NULL;
CREATE INDEX affiliate_transactions_order ON affiliate_transactions (merchant_id, external_order_id)
    WHERE external_order_id IS NOT NULL;
CREATE INDEX affiliate_transactions_click ON affiliate_transactions (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX affiliate_transactions_merchant_time ON affiliate_transactions (merchant_id, occurred_at);

-- One row per accepted change. Repetitions and old news leave none.
CREATE TABLE affiliate_transaction_history (
    transaction_id    uuid NOT NULL REFERENCES affiliate_transactions (id),
    revision          int NOT NULL CHECK (revision > 0),
    raw_status        text NOT NULL,
    status            text NOT NULL,
    funded            boolean NOT NULL,
    sale_paise        bigint,
    commission_paise  bigint NOT NULL,
    status_updated_at timestamptz,
    observed_at       timestamptz NOT NULL,
    source            text NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (transaction_id, revision)
);
CREATE TRIGGER affiliate_transaction_history_append_only BEFORE UPDATE OR DELETE ON affiliate_transaction_history
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER affiliate_transaction_history_not_truncated BEFORE TRUNCATE ON affiliate_transaction_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Transactions that belong to no click we know. A row is resolved, never deleted.
CREATE TABLE unmatched_transactions (
    transaction_id uuid PRIMARY KEY REFERENCES affiliate_transactions (id),
    reason         text NOT NULL CHECK (reason IN ('no_click', 'unknown_click', 'network_differs', 'merchant_differs',
                                                   'several_clicks')),
    noted_at       timestamptz NOT NULL DEFAULT now(),
    resolved_at    timestamptz,
    resolved_by    text,
    CHECK ((resolved_at IS NULL) = (resolved_by IS NULL))
);
CREATE INDEX unmatched_transactions_open ON unmatched_transactions (transaction_id) WHERE resolved_at IS NULL;

-- What a network said and we did not understand. Nothing is guessed: it has no effect until it is understood.
CREATE TABLE quarantined_transactions (
    network                 text NOT NULL CHECK (network IN ('admitad', 'vcommission', 'cuelinks')),
    -- The network's id, or `sha256:` and the hash of the row when it has none.
    external_transaction_id text NOT NULL,
    reason                  text NOT NULL CHECK (reason IN ('unknown_status', 'negative_amount', 'no_rate', 'missing_field',
                                                            'unreadable_field')),
    raw_status              text,
    detail                  text NOT NULL,
    raw                     json NOT NULL,
    first_seen_at           timestamptz NOT NULL DEFAULT now(),
    last_seen_at            timestamptz NOT NULL DEFAULT now(),
    times_seen              int NOT NULL DEFAULT 1,
    resolved_at             timestamptz,
    PRIMARY KEY (network, external_transaction_id)
);
CREATE INDEX quarantined_transactions_open ON quarantined_transactions (network) WHERE resolved_at IS NULL;

CREATE TABLE sync_runs (
    id            uuid PRIMARY KEY,
    network       text NOT NULL CHECK (network IN ('admitad', 'vcommission', 'cuelinks')),
    -- What was asked, and what it came to: concrete bounds, so that a run that is taken up again reads the same.
    requested     jsonb NOT NULL,
    read_window   jsonb NOT NULL,
    requested_by  text NOT NULL,
    status        text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'abandoned')),
    -- The next page to read, in the network's words.
    page_cursor   text,
    pages         int NOT NULL DEFAULT 0,
    rows_read     bigint NOT NULL DEFAULT 0,
    rows_new      bigint NOT NULL DEFAULT 0,
    rows_changed  bigint NOT NULL DEFAULT 0,
    rows_matched  bigint NOT NULL DEFAULT 0,
    rows_unmatched bigint NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL DEFAULT 0,
    commission_paise bigint NOT NULL DEFAULT 0,
    resumed       int NOT NULL DEFAULT 0,
    error         text,
    started_at    timestamptz NOT NULL DEFAULT now(),
    beat_at       timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CHECK ((status = 'running') = (finished_at IS NULL))
);
CREATE INDEX sync_runs_newest ON sync_runs (network, started_at DESC);
-- One pull per network at a time; the advisory lock decides, this makes sure.
CREATE UNIQUE INDEX sync_runs_one_running ON sync_runs (network) WHERE status = 'running';

-- Up to which status change a network was read, for networks that can be asked by it.
CREATE TABLE sync_cursors (
    network    text PRIMARY KEY CHECK (network IN ('admitad', 'vcommission', 'cuelinks')),
    read_up_to timestamptz NOT NULL,
    run_id     uuid NOT NULL REFERENCES sync_runs (id),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What the rows of a running pull are worth, so that a run that is taken up again is still tied out against the network's
-- own sums. Emptied when the run ends.
CREATE TABLE sync_run_rows (
    run_id      uuid NOT NULL REFERENCES sync_runs (id) ON DELETE CASCADE,
    -- The network's id; rows without one are numbered.
    external_id text NOT NULL,
    has_id      boolean NOT NULL,
    currency    text,
    commission  numeric,
    PRIMARY KEY (run_id, external_id)
);
CREATE INDEX affiliate_transaction_history_recent ON affiliate_transaction_history USING brin (recorded_at);
