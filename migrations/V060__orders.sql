-- What shoppers buy from us, how it is paid, and the codes they get.

CREATE TABLE orders (
    id                uuid PRIMARY KEY,
    user_id           uuid NOT NULL REFERENCES users (id),
    -- created → paid → fulfilled; paid → held when a code is out of stock; refunded, cancelled.
    status            text NOT NULL DEFAULT 'created'
                      CHECK (status IN ('created', 'paid', 'held', 'fulfilled', 'refunded', 'cancelled')),
    total_paise       bigint NOT NULL CHECK (total_paise > 0),
    provider_order_id text NOT NULL UNIQUE CHECK (provider_order_id <> ''),
    created_at        timestamptz NOT NULL DEFAULT now(),
    paid_at           timestamptz,
    CHECK ((paid_at IS NULL) = (status IN ('created', 'cancelled')))
);
CREATE INDEX orders_user ON orders (user_id, created_at);
CREATE INDEX orders_held ON orders (paid_at) WHERE status = 'held';

CREATE TABLE order_items (
    id               uuid PRIMARY KEY,
    order_id         uuid NOT NULL REFERENCES orders (id),
    product_id       uuid NOT NULL REFERENCES products (id),
    quantity         int NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    unit_price_paise bigint NOT NULL CHECK (unit_price_paise > 0),
    UNIQUE (order_id, product_id)
);

-- The code itself is sealed with the shop's key; its row id is bound into the seal.
CREATE TABLE voucher_codes (
    id            uuid PRIMARY KEY,
    product_id    uuid NOT NULL REFERENCES products (id),
    sealed        bytea NOT NULL CHECK (length(sealed) > 28),
    order_item_id uuid REFERENCES order_items (id),
    allocated_at  timestamptz,
    -- When the brand, or staff, said that it was spent.
    redeemed_at   timestamptz,
    -- When it was taken back because the order was refunded; a spent code cannot be.
    revoked_at    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((order_item_id IS NULL) = (allocated_at IS NULL)),
    CHECK (revoked_at IS NULL OR allocated_at IS NOT NULL),
    CHECK (redeemed_at IS NULL OR allocated_at IS NOT NULL),
    CHECK (revoked_at IS NULL OR redeemed_at IS NULL)
);
CREATE INDEX voucher_codes_free ON voucher_codes (product_id, id) WHERE order_item_id IS NULL;
CREATE INDEX voucher_codes_item ON voucher_codes (order_item_id) WHERE order_item_id IS NOT NULL;

CREATE TABLE payments (
    id                  uuid PRIMARY KEY,
    order_id            uuid NOT NULL REFERENCES orders (id),
    provider_payment_id text NOT NULL UNIQUE CHECK (provider_payment_id <> ''),
    amount_paise        bigint NOT NULL CHECK (amount_paise > 0),
    status              text NOT NULL CHECK (status IN ('failed', 'authorized', 'captured', 'refunded')),
    -- The order of the states above: a late event with a lower rank changes nothing.
    rank                smallint NOT NULL,
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_order ON payments (order_id);

CREATE TABLE refunds (
    id                 uuid PRIMARY KEY,
    payment_id         uuid NOT NULL REFERENCES payments (id),
    provider_refund_id text NOT NULL UNIQUE CHECK (provider_refund_id <> ''),
    amount_paise       bigint NOT NULL CHECK (amount_paise > 0),
    status             text NOT NULL CHECK (status IN ('pending', 'failed', 'processed')),
    rank               smallint NOT NULL,
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_payment ON refunds (payment_id);

-- A bank asks for money back. What is won or lost is decided there; people act on it.
CREATE TABLE disputes (
    id                  uuid PRIMARY KEY,
    provider_dispute_id text NOT NULL UNIQUE CHECK (provider_dispute_id <> ''),
    provider_payment_id text NOT NULL CHECK (provider_payment_id <> ''),
    order_id            uuid REFERENCES orders (id),
    amount_paise        bigint NOT NULL CHECK (amount_paise > 0),
    status              text NOT NULL CHECK (status IN ('open', 'action_required', 'under_review', 'won', 'lost', 'closed')),
    rank                smallint NOT NULL,
    respond_by          timestamptz,
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX disputes_open ON disputes (respond_by) WHERE status IN ('open', 'action_required', 'under_review');
