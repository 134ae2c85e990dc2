-- Clicks, as the redirector answered them. One partition a month, by the UUIDv7 id itself, so the key stays unique.

-- No foreign keys: a click is evidence and must be kept even when its offer or its shopper is unknown here, and one bad
-- row must not cost the five thousand that are written with it.
CREATE TABLE affiliate_clicks (
    id                uuid NOT NULL,
    -- What travels in the sub-id: the id as 32 hexadecimal digits.
    external_click_id text NOT NULL GENERATED ALWAYS AS (encode(uuid_send(id), 'hex')) STORED,
    offer_id          uuid NOT NULL,
    merchant_id       uuid NOT NULL,
    network           text NOT NULL CHECK (network IN ('admitad', 'vcommission', 'cuelinks')),
    user_id           uuid,
    -- What was promised at the click; later changes of the offer do not touch it.
    rate_bps          int NOT NULL CHECK (rate_bps BETWEEN 0 AND 10000),
    cap_paise         bigint CHECK (cap_paise >= 0),
    offer_version     int NOT NULL,
    class             text NOT NULL CHECK (class IN ('human', 'bot', 'prefetch', 'head', 'duplicate', 'limited')),
    reason            text NOT NULL DEFAULT '',
    client_hash       text NOT NULL,
    user_agent        text NOT NULL DEFAULT '',
    clicked_at        timestamptz NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

-- A shopper's clicks, newest first.
CREATE INDEX affiliate_clicks_user ON affiliate_clicks (user_id, id) WHERE user_id IS NOT NULL;
-- Suggestions for a transaction that names no click: who went to that shop around that time.
CREATE INDEX affiliate_clicks_merchant ON affiliate_clicks (merchant_id, id) WHERE user_id IS NOT NULL;

SELECT ensure_month_partitions('affiliate_clicks', (now() - interval '2 months')::date, 6);
