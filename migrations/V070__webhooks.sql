-- Every webhook as it came, and the keys by which one is known to have come before.

CREATE TABLE webhook_logs (
    id             uuid NOT NULL,
    source         text NOT NULL CHECK (source <> ''),
    event_id       text NOT NULL CHECK (event_id <> ''),
    event          text NOT NULL,
    body           bytea NOT NULL,
    body_sha256    bytea NOT NULL CHECK (length(body_sha256) = 32),
    -- Without secrets: signatures, tokens and cookies are left out.
    headers        jsonb NOT NULL,
    remote_address text NOT NULL,
    -- accepted: first of its kind. duplicate: seen before. conflict: its event id came with another body. rejected: not verified.
    verdict        text NOT NULL CHECK (verdict IN ('accepted', 'duplicate', 'conflict', 'rejected')),
    reason         text NOT NULL DEFAULT '',
    received_at    timestamptz NOT NULL DEFAULT now(),
    processed_at   timestamptz,
    effect         text,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX webhook_logs_source ON webhook_logs (source, id);
SELECT ensure_month_partitions('webhook_logs', (now() - interval '1 month')::date, 4);

-- A unique key cannot span partitions, so the keys have a table of their own. The event id header of Razorpay is not
-- signed: the body's hash is a key as well.
CREATE TABLE webhook_receipts (
    source      text NOT NULL,
    event_id    text NOT NULL,
    body_sha256 bytea NOT NULL,
    webhook_id  uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, event_id)
);
CREATE UNIQUE INDEX webhook_receipts_body ON webhook_receipts (source, body_sha256);
