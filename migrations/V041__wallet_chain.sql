-- A chain over the ledger: each block is the hash of the block before it and of its rows in order. Who alters, removes,
-- adds or reorders a sealed row breaks every block from there on; who recomputes them all changes the head, which is kept
-- outside (it is mailed daily).

CREATE TABLE wallet_seals (
    number     bigint PRIMARY KEY CHECK (number > 0),
    first_seq  bigint NOT NULL,
    last_seq   bigint NOT NULL,
    row_count  int NOT NULL CHECK (row_count > 0),
    sum_paise  numeric NOT NULL,
    previous   bytea NOT NULL CHECK (length(previous) = 32),
    hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    sealed_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (last_seq >= first_seq)
);
CREATE TRIGGER wallet_seals_append_only BEFORE UPDATE OR DELETE ON wallet_seals FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_seals_not_truncated BEFORE TRUNCATE ON wallet_seals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
