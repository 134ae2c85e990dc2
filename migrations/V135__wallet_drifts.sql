-- Wallets that do not hold what their entries come to, as the nightly check found them, and their repairs: asked for by
-- one person, decided by another. The entries are the truth; a repair changes the balance and no entry.

CREATE TABLE wallet_drifts (
    id            uuid PRIMARY KEY,
    -- No foreign key: whoever wrote past the ledger may have written for a shopper that does not exist.
    user_id       uuid NOT NULL,
    balance_paise bigint NOT NULL,
    entries_paise bigint NOT NULL,
    -- Whether the check blocked the shopper's withdrawals. They may have been blocked before, by a person.
    froze         boolean NOT NULL,
    found_at      timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    CHECK (balance_paise <> entries_paise)
);
CREATE UNIQUE INDEX wallet_drifts_open ON wallet_drifts (user_id) WHERE ended_at IS NULL;

CREATE TABLE wallet_repairs (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id),
    -- What the balance holds too much (or, below zero, too little). Refused when it is another figure by the time of the
    -- decision: what was looked at is what is repaired.
    drift_paise  bigint NOT NULL CHECK (drift_paise <> 0),
    reason       text NOT NULL CHECK (length(reason) >= 10),
    status       text NOT NULL DEFAULT 'requested' CHECK (status IN ('requested', 'repaired', 'refused')),
    requested_by uuid NOT NULL REFERENCES admin_users (id),
    requested_at timestamptz NOT NULL DEFAULT now(),
    decided_by   uuid REFERENCES admin_users (id),
    decided_at   timestamptz,
    CHECK ((status = 'requested') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by <> requested_by)
);
CREATE UNIQUE INDEX wallet_repairs_open ON wallet_repairs (user_id) WHERE status = 'requested';

-- What a wallet holds beyond what its entries come to.
CREATE FUNCTION wallet_drift(shopper uuid) RETURNS bigint
LANGUAGE sql STABLE STRICT AS $$
    SELECT coalesce((SELECT balance_paise FROM wallet_balances WHERE account_id = shopper), 0)
         - coalesce((SELECT sum(CASE WHEN credit_account = user_id THEN amount_paise ELSE -amount_paise END)::bigint
                     FROM wallet_transactions WHERE user_id = shopper), 0)
$$;

-- Sets the balance to the sum of the entries, lifts the check's own block of withdrawals, and ends the drift.
-- WA006: the drift is not (or no longer) the given one. Whoever posts holds the wallet's row, so with that row locked the
-- entries stand still.
CREATE FUNCTION repair_wallet(shopper uuid, drift bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    actual bigint;
BEGIN
    INSERT INTO wallet_balances (account_id, user_id) SELECT id, user_id FROM wallet_accounts WHERE id = shopper
    ON CONFLICT DO NOTHING;
    PERFORM FROM wallet_balances WHERE account_id = shopper FOR UPDATE;
    actual := wallet_drift(shopper);
    IF actual <> drift OR drift = 0 THEN
        RAISE EXCEPTION 'the wallet of % drifts by % paise, not by %', shopper, actual, drift USING ERRCODE = 'WA006';
    END IF;
    UPDATE wallet_balances SET balance_paise = balance_paise - drift, updated_at = now() WHERE account_id = shopper;
    UPDATE users SET frozen_at = NULL
    WHERE id = shopper AND EXISTS (SELECT FROM wallet_drifts WHERE user_id = shopper AND ended_at IS NULL AND froze);
    UPDATE wallet_drifts SET ended_at = now() WHERE user_id = shopper AND ended_at IS NULL;
END
$$;
