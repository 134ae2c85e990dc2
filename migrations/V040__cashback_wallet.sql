-- The ledger: double entry in one row. A transfer takes `amount_paise` from the debit account and gives it to the credit
-- account, so the sum over all accounts is zero by construction. Shoppers' accounts have a balance row, kept in the same
-- statement; platform accounts have none, so nobody queues for them.

CREATE TABLE wallet_accounts (
    id         uuid PRIMARY KEY,
    owner      text NOT NULL CHECK (owner IN ('user', 'platform')),
    user_id    uuid UNIQUE REFERENCES users (id),
    code       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A shopper's account has the shopper's id; platform accounts have the lowest ids there are. So no look-up is needed
    -- to tell them apart.
    CHECK ((owner = 'user') = (user_id IS NOT NULL)),
    CHECK (user_id IS NULL OR (id = user_id AND code = 'user:' || user_id::text)),
    CHECK ((owner = 'platform') = (id < '00000000-0000-0000-0000-000000010000'))
);

INSERT INTO wallet_accounts (id, owner, code) VALUES
    ('00000000-0000-0000-0000-000000000001', 'platform', 'platform:cashback_expense'),
    ('00000000-0000-0000-0000-000000000002', 'platform', 'platform:payout_clearing'),
    ('00000000-0000-0000-0000-000000000003', 'platform', 'platform:bank'),
    ('00000000-0000-0000-0000-000000000004', 'platform', 'platform:adjustments');

CREATE FUNCTION is_platform_account(account uuid) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT account < '00000000-0000-0000-0000-000000010000'::uuid
$$;

CREATE TABLE wallet_transactions (
    -- The order of the chain. Gaps are normal: a transfer that was rolled back leaves one.
    seq                 bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    id                  uuid PRIMARY KEY,
    debit_account       uuid NOT NULL,
    credit_account      uuid NOT NULL,
    amount_paise        bigint NOT NULL CHECK (amount_paise > 0),
    kind                text NOT NULL CHECK (kind IN ('cashback_credit', 'cashback_clawback', 'withdrawal', 'withdrawal_return',
                                                      'payout_settled', 'payout_recalled', 'goodwill', 'correction')),
    idempotency_key     text NOT NULL UNIQUE CHECK (idempotency_key <> '' AND length(idempotency_key) <= 200),
    input_hash          bytea NOT NULL CHECK (length(input_hash) = 32),
    -- The shopper's side and the balance that this transfer left there; NULL between platform accounts.
    user_id             uuid,
    balance_after_paise bigint,
    reason              jsonb NOT NULL DEFAULT '{}',
    created_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (debit_account <> credit_account),
    CHECK ((user_id IS NULL) = (balance_after_paise IS NULL)),
    -- A debit may not take a wallet below zero, unless a merchant took back what was credited.
    CONSTRAINT wallet_not_overdrawn CHECK (balance_after_paise >= 0 OR kind = 'cashback_clawback'
                                           OR user_id IS DISTINCT FROM debit_account)
);
-- No foreign keys to the accounts: each would lock the platform's account row in every transfer. post_transfer checks.
CREATE INDEX wallet_transactions_user ON wallet_transactions (user_id, seq) WHERE user_id IS NOT NULL;
CREATE INDEX wallet_transactions_seq ON wallet_transactions USING brin (seq) WITH (pages_per_range = 16);

CREATE TRIGGER wallet_transactions_append_only BEFORE UPDATE OR DELETE ON wallet_transactions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_transactions_not_truncated BEFORE TRUNCATE ON wallet_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE wallet_balances (
    account_id    uuid PRIMARY KEY REFERENCES wallet_accounts (id),
    user_id       uuid NOT NULL UNIQUE REFERENCES users (id),
    balance_paise bigint NOT NULL DEFAULT 0,
    updated_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- A shopper has a wallet from the first moment, whoever adds the shopper.
CREATE FUNCTION open_wallet() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO wallet_accounts (id, owner, user_id, code) SELECT id, 'user', id, 'user:' || id::text FROM added;
    INSERT INTO wallet_balances (account_id, user_id) SELECT id, id FROM added;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_open_wallet AFTER INSERT ON users REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION open_wallet();
INSERT INTO wallet_accounts (id, owner, user_id, code) SELECT id, 'user', id, 'user:' || id::text FROM users;
INSERT INTO wallet_balances (account_id, user_id) SELECT id, id FROM users;

-- What makes two postings with one idempotency key the same posting. The reason is an explanation and not part of it.
CREATE FUNCTION transfer_hash(debit uuid, credit uuid, amount bigint, kind text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT sha256(uuid_send(debit) || uuid_send(credit) || int8send(amount) || convert_to(kind, 'UTF8'))
$$;

-- Posts one transfer. Same key and same input: the same answer, `replayed`. Same key and other input: SQLSTATE WA004.
-- Too little money: WA001. No such account, or two shoppers: WA005. All callers of the ledger come through here or
-- through post_transfers.
CREATE FUNCTION post_transfer(
    new_id uuid, debit uuid, credit uuid, amount bigint, new_kind text, new_key text, new_reason jsonb,
    OUT entry_id uuid, OUT replayed boolean, OUT balance_paise bigint
) LANGUAGE plpgsql AS $$
DECLARE
    hash bytea := transfer_hash(debit, credit, amount, new_kind);
    shopper uuid := CASE WHEN is_platform_account(debit) THEN credit ELSE debit END;
    earlier record;
BEGIN
    IF is_platform_account(shopper) THEN
        shopper := NULL;
        -- The chain over the ledger counts on it: a writer is known as one before it draws its row's number.
        PERFORM pg_current_xact_id();
        IF (SELECT count(*) FROM wallet_accounts WHERE id IN (debit, credit)) <> 2 THEN
            RAISE EXCEPTION 'no such account among % and %', debit, credit USING ERRCODE = 'WA005';
        END IF;
    ELSE
        IF NOT is_platform_account(debit) AND NOT is_platform_account(credit) THEN
            RAISE EXCEPTION 'a transfer has at most one shopper' USING ERRCODE = 'WA005';
        END IF;
        UPDATE wallet_balances b
        SET balance_paise = b.balance_paise + CASE WHEN shopper = credit THEN amount ELSE -amount END, updated_at = now()
        WHERE b.account_id = shopper
          AND (shopper = credit OR new_kind = 'cashback_clawback' OR b.balance_paise >= amount)
        RETURNING b.balance_paise INTO balance_paise;
        IF NOT FOUND THEN
            -- A repetition gets its answer although the money has gone since.
            SELECT w.id, w.input_hash, w.balance_after_paise INTO earlier
            FROM wallet_transactions w WHERE w.idempotency_key = new_key;
            IF NOT FOUND THEN
                IF EXISTS (SELECT FROM wallet_balances b WHERE b.account_id = shopper) THEN
                    RAISE EXCEPTION 'the wallet holds less than % paise', amount USING ERRCODE = 'WA001';
                END IF;
                RAISE EXCEPTION 'no such account: %', shopper USING ERRCODE = 'WA005';
            END IF;
            IF earlier.input_hash <> hash THEN
                RAISE EXCEPTION 'idempotency key % was used for another transfer', new_key USING ERRCODE = 'WA004';
            END IF;
            entry_id := earlier.id; replayed := true; balance_paise := earlier.balance_after_paise;
            RETURN;
        END IF;
        PERFORM FROM wallet_accounts a WHERE a.id = CASE WHEN shopper = credit THEN debit ELSE credit END;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no such account among % and %', debit, credit USING ERRCODE = 'WA005';
        END IF;
    END IF;

    INSERT INTO wallet_transactions (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash,
                                     user_id, balance_after_paise, reason)
    VALUES (new_id, debit, credit, amount, new_kind, new_key, hash, shopper, balance_paise, new_reason)
    ON CONFLICT (idempotency_key) DO NOTHING;
    IF FOUND THEN
        entry_id := new_id; replayed := false;
        RETURN;
    END IF;

    -- It was posted before: take back what the update above did.
    UPDATE wallet_balances b
    SET balance_paise = b.balance_paise - CASE WHEN shopper = credit THEN amount ELSE -amount END
    WHERE b.account_id = shopper;
    SELECT w.id, w.input_hash, w.balance_after_paise INTO STRICT earlier
    FROM wallet_transactions w WHERE w.idempotency_key = new_key;
    IF earlier.input_hash <> hash THEN
        RAISE EXCEPTION 'idempotency key % was used for another transfer', new_key USING ERRCODE = 'WA004';
    END IF;
    entry_id := earlier.id; replayed := true; balance_paise := earlier.balance_after_paise;
END
$$;

-- Posts many transfers in one statement; answers in the order of the input. All or nothing. A key may stand once in the input.
-- Wallets are locked in the order of their ids, so concurrent batches cannot deadlock.
CREATE FUNCTION post_transfers(
    new_ids uuid[], debits uuid[], credits uuid[], amounts bigint[], kinds text[], keys text[], reasons jsonb[]
) RETURNS TABLE (ordinal bigint, entry_id uuid, replayed boolean, balance_paise bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_current_xact_id();
    PERFORM FROM wallet_balances b WHERE b.account_id = ANY (debits || credits) ORDER BY b.account_id FOR UPDATE;
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT account FROM unnest(debits || credits) AS named (account)) AS named
        WHERE NOT EXISTS (SELECT FROM wallet_accounts a WHERE a.id = named.account)
    ) OR EXISTS (
        SELECT FROM unnest(debits, credits) AS pair (debit, credit)
        WHERE NOT is_platform_account(pair.debit) AND NOT is_platform_account(pair.credit)
    ) THEN
        RAISE EXCEPTION 'a transfer names no account or two shoppers' USING ERRCODE = 'WA005';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(debits, credits, amounts, kinds, keys) AS input (debit, credit, amount, kind, key)
        JOIN wallet_transactions w ON w.idempotency_key = input.key
        WHERE w.input_hash <> transfer_hash(input.debit, input.credit, input.amount, input.kind)
    ) THEN
        RAISE EXCEPTION 'an idempotency key was used for another transfer' USING ERRCODE = 'WA004';
    END IF;
    RETURN QUERY
    WITH input AS MATERIALIZED (
        SELECT row.*, CASE WHEN NOT is_platform_account(row.debit) THEN row.debit
                           WHEN NOT is_platform_account(row.credit) THEN row.credit END AS shopper
        FROM unnest(new_ids, debits, credits, amounts, kinds, keys, reasons) WITH ORDINALITY
             AS row (id, debit, credit, amount, kind, key, reason, ordinal)
    ), known AS MATERIALIZED (
        SELECT input.ordinal, w.id, w.balance_after_paise FROM input JOIN wallet_transactions w ON w.idempotency_key = input.key
    ), fresh AS MATERIALIZED (
        SELECT input.*, b.balance_paise + sum(CASE WHEN input.shopper = input.credit THEN input.amount ELSE -input.amount END)
                   OVER (PARTITION BY input.shopper ORDER BY input.ordinal ROWS UNBOUNDED PRECEDING) AS balance_after
        FROM input
        LEFT JOIN wallet_balances b ON b.account_id = input.shopper
        WHERE NOT EXISTS (SELECT FROM known WHERE known.ordinal = input.ordinal)
    ), written AS (
        INSERT INTO wallet_transactions (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash,
                                         user_id, balance_after_paise, reason)
        SELECT id, debit, credit, amount, kind, key, transfer_hash(debit, credit, amount, kind), shopper, balance_after::bigint, reason
        FROM fresh ORDER BY ordinal
    ), kept AS (
        UPDATE wallet_balances b SET balance_paise = b.balance_paise + moved.total, updated_at = now()
        FROM (SELECT shopper, sum(CASE WHEN shopper = credit THEN amount ELSE -amount END)::bigint AS total
              FROM fresh WHERE shopper IS NOT NULL GROUP BY shopper) AS moved
        WHERE b.account_id = moved.shopper
    )
    SELECT fresh.ordinal, fresh.id, false, fresh.balance_after::bigint FROM fresh
    UNION ALL
    SELECT known.ordinal, known.id, true, known.balance_after_paise FROM known
    ORDER BY 1;
END
$$;

-- The rules of cashback, by version. A decision names the version it was made by; the newest row whose time has come is in
-- force, by the time of the click.
CREATE TABLE cashback_rules (
    version              int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    valid_from           timestamptz NOT NULL,
    -- The most cashback of one merchant order, and of one shopper in one calendar month (IST); NULL is no limit.
    order_cap_paise      bigint CHECK (order_cap_paise > 0),
    month_cap_paise      bigint CHECK (month_cap_paise > 0),
    -- Days between confirmation and the moment it can be withdrawn.
    holding_days         int NOT NULL CHECK (holding_days BETWEEN 0 AND 365),
    min_withdrawal_paise bigint NOT NULL CHECK (min_withdrawal_paise >= 100),
    -- How much of a shopper's confirmed cashback may be withdrawn before the network has paid us for it.
    advance_limit_paise  bigint NOT NULL CHECK (advance_limit_paise >= 0),
    note                 text NOT NULL,
    set_by               text NOT NULL,
    set_at               timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cashback_rules (valid_from, holding_days, min_withdrawal_paise, advance_limit_paise, note, set_by)
VALUES ('-infinity', 0, 10000, 100000, 'no caps, withdrawals from ₹100, ₹1,000 advanced a shopper', 'migration');
CREATE TRIGGER cashback_rules_append_only BEFORE UPDATE OR DELETE ON cashback_rules
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER cashback_rules_not_truncated BEFORE TRUNCATE ON cashback_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The cashback of one transaction.
CREATE TABLE cashback_events (
    id               uuid PRIMARY KEY,
    transaction_id   uuid NOT NULL UNIQUE REFERENCES affiliate_transactions (id),
    user_id          uuid NOT NULL REFERENCES users (id),
    click_id         uuid NOT NULL,
    merchant_id      uuid NOT NULL REFERENCES merchants (id),
    -- What the shopper is to get when all goes well; zero when the commission is.
    amount_paise     bigint NOT NULL CHECK (amount_paise >= 0),
    -- What of it is in the wallet: the sum of this cashback's ledger entries.
    credited_paise   bigint NOT NULL DEFAULT 0 CHECK (credited_paise >= 0),
    status           text NOT NULL CHECK (status IN ('pending', 'confirmed', 'payable', 'paid', 'declined', 'reversed')),
    -- The decision: rate of the click, what was left of the caps, the rules' version.
    rate_bps         int NOT NULL CHECK (rate_bps BETWEEN 0 AND 10000),
    cap_paise        bigint CHECK (cap_paise >= 0),
    rule_version     int NOT NULL REFERENCES cashback_rules (version),
    funded           boolean NOT NULL DEFAULT false,
    -- Confirmed cashback can be withdrawn from then on.
    held_until       timestamptz,
    -- Ledger entries so far, and changes so far.
    postings         int NOT NULL DEFAULT 0 CHECK (postings >= 0),
    revision         int NOT NULL DEFAULT 1 CHECK (revision > 0),
    occurred_at      timestamptz NOT NULL,
    confirmed_at     timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT cashback_credited_as_its_status CHECK (
        credited_paise = CASE WHEN status IN ('confirmed', 'payable', 'paid') THEN amount_paise ELSE 0 END)
) WITH (fillfactor = 85);
CREATE INDEX cashback_events_user ON cashback_events (user_id, occurred_at DESC);
CREATE INDEX cashback_events_click ON cashback_events (click_id);
CREATE INDEX cashback_events_held ON cashback_events (held_until) WHERE status = 'confirmed';
CREATE INDEX cashback_events_pending ON cashback_events (occurred_at) WHERE status = 'pending';

CREATE TABLE cashback_history (
    cashback_id           uuid NOT NULL REFERENCES cashback_events (id),
    revision              int NOT NULL CHECK (revision > 0),
    status_before         text,
    status                text NOT NULL,
    amount_before_paise   bigint,
    amount_paise          bigint NOT NULL,
    -- The change of the wallet and its ledger entry.
    posted_paise          bigint NOT NULL DEFAULT 0,
    wallet_transaction_id uuid REFERENCES wallet_transactions (id),
    -- Which accepted change of the network's transaction led to it; NULL when it was none.
    transaction_revision  int,
    cause                 text NOT NULL CHECK (cause <> ''),
    recorded_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cashback_id, revision),
    CHECK ((posted_paise = 0) = (wallet_transaction_id IS NULL))
);
CREATE TRIGGER cashback_history_append_only BEFORE UPDATE OR DELETE ON cashback_history
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER cashback_history_not_truncated BEFORE TRUNCATE ON cashback_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
