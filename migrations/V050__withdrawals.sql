-- Money that leaves a wallet for a bank account.

-- A UUIDv7 made here, for callers that are not ours to make one.
CREATE FUNCTION uuid_v7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

CREATE TABLE withdrawals (
    id                uuid PRIMARY KEY,
    user_id           uuid NOT NULL REFERENCES users (id),
    amount_paise      bigint NOT NULL CHECK (amount_paise > 0),
    status            text NOT NULL CHECK (status IN ('requested', 'processing', 'processed', 'failed', 'reversed')),
    fund_account_id   text NOT NULL CHECK (fund_account_id <> '' AND length(fund_account_id) <= 64),
    idempotency_key   text NOT NULL UNIQUE CHECK (idempotency_key <> '' AND length(idempotency_key) <= 160),
    payout_id         text UNIQUE,
    utr               text,
    -- The provider's word, its rank among the provider's words, and when it was said.
    provider_status   text,
    provider_rank     int NOT NULL DEFAULT 0,
    provider_event_at timestamptz,
    failure_reason    text,
    rule_version      int NOT NULL REFERENCES cashback_rules (version),
    requested_at      timestamptz NOT NULL DEFAULT now(),
    processing_at     timestamptz,
    processed_at      timestamptz,
    returned_at       timestamptz,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    -- The money is back exactly when the status says so.
    CHECK ((status IN ('failed', 'reversed')) = (returned_at IS NOT NULL)),
    CHECK (status <> 'processed' OR processed_at IS NOT NULL)
);
CREATE INDEX withdrawals_user ON withdrawals (user_id, requested_at DESC);
CREATE INDEX withdrawals_open ON withdrawals (requested_at) WHERE status IN ('requested', 'processing');

-- What a shopper may take out now: the balance, less what is still held, less what no network has paid us for beyond the
-- advance limit. Never below zero.
CREATE FUNCTION withdrawable(shopper uuid) RETURNS bigint
LANGUAGE sql STABLE STRICT AS $$
    SELECT greatest(0, b.balance_paise - coalesce(c.held, 0) - greatest(0, coalesce(c.unfunded, 0) - r.advance_limit_paise))
    FROM wallet_balances b
    CROSS JOIN (SELECT advance_limit_paise FROM cashback_rules WHERE valid_from <= now()
                ORDER BY valid_from DESC, version DESC LIMIT 1) AS r
    LEFT JOIN LATERAL (
        SELECT (sum(e.credited_paise) FILTER (WHERE e.held_until > now()))::bigint AS held,
               -- Also what was paid out already: the advance is used up until the network pays.
               (sum(e.credited_paise) FILTER (WHERE NOT e.funded AND (e.held_until > now()) IS NOT TRUE))::bigint AS unfunded
        FROM cashback_events e WHERE e.user_id = shopper AND e.credited_paise > 0
    ) AS c ON true
    WHERE b.account_id = shopper
$$;

-- Asks for a withdrawal: checks freeze, minimum and balance, takes the money out of the wallet into clearing, and promises
-- the payout, in one step. The wallet's row is locked first, so two requests at once cannot overdraw.
-- WA001: too little money. WA002: below the minimum. WA003: frozen. WA004: key used for another request. WA005: no wallet.
CREATE FUNCTION request_withdrawal(new_id uuid, shopper uuid, amount bigint, fund_account text, new_key text)
RETURNS withdrawals
LANGUAGE plpgsql AS $$
DECLARE
    made withdrawals;
    rules cashback_rules;
    available bigint;
    frozen timestamptz;
BEGIN
    PERFORM FROM wallet_balances WHERE account_id = shopper FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no wallet of %', shopper USING ERRCODE = 'WA005';
    END IF;
    SELECT * INTO made FROM withdrawals WHERE idempotency_key = new_key;
    IF FOUND THEN
        IF (made.user_id, made.amount_paise, made.fund_account_id) IS DISTINCT FROM (shopper, amount, fund_account) THEN
            RAISE EXCEPTION 'idempotency key % was used for another withdrawal', new_key USING ERRCODE = 'WA004';
        END IF;
        RETURN made;
    END IF;
    SELECT frozen_at INTO frozen FROM users WHERE id = shopper;
    IF frozen IS NOT NULL THEN
        RAISE EXCEPTION 'withdrawals of % are frozen', shopper USING ERRCODE = 'WA003';
    END IF;
    SELECT * INTO rules FROM cashback_rules WHERE valid_from <= now() ORDER BY valid_from DESC, version DESC LIMIT 1;
    IF amount IS NULL OR amount < rules.min_withdrawal_paise THEN
        RAISE EXCEPTION 'withdrawals begin at % paise', rules.min_withdrawal_paise
            USING ERRCODE = 'WA002', DETAIL = rules.min_withdrawal_paise::text;
    END IF;
    available := withdrawable(shopper);
    IF amount > available THEN
        RAISE EXCEPTION '% paise can be withdrawn', available USING ERRCODE = 'WA001', DETAIL = available::text;
    END IF;
    BEGIN
        INSERT INTO withdrawals (id, user_id, amount_paise, status, fund_account_id, idempotency_key, rule_version)
        VALUES (new_id, shopper, amount, 'requested', fund_account, new_key, rules.version)
        RETURNING * INTO made;
    EXCEPTION WHEN unique_violation THEN
        -- Only another shopper's request can have come in between: this one's wallet is locked.
        RAISE EXCEPTION 'idempotency key % or id % was used for another withdrawal', new_key, new_id USING ERRCODE = 'WA004';
    END;
    PERFORM post_transfer(uuid_v7(), shopper, '00000000-0000-0000-0000-000000000002', amount, 'withdrawal',
                          'withdrawal:' || new_id || ':requested', jsonb_build_object('withdrawal_id', new_id));
    INSERT INTO outbox (id, queue, kind, payload)
    VALUES (uuid_v7(), 'payments', 'payout.start', jsonb_build_object('withdrawal_id', new_id));
    RETURN made;
END
$$;
