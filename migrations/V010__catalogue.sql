-- Who shops, who works the console, and what can be clicked or bought.

CREATE TABLE users (
    id         uuid PRIMARY KEY,
    name       text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    email      text CHECK (email LIKE '_%@_%' AND length(email) <= 254),
    mobile     text CHECK (mobile ~ '^\+91[6-9][0-9]{9}$'),
    lang       text NOT NULL DEFAULT 'en' CHECK (lang IN ('en', 'hi')),
    created_at timestamptz NOT NULL DEFAULT now(),
    frozen_at  timestamptz
);
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX users_mobile ON users (mobile) WHERE mobile IS NOT NULL;
CREATE INDEX users_name ON users (lower(name) text_pattern_ops);

CREATE TABLE admin_users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL CHECK (email LIKE '_%@_%' AND email = lower(email) AND length(email) <= 254),
    name          text NOT NULL CHECK (name <> ''),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'finance')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    disabled_at   timestamptz
);
CREATE UNIQUE INDEX admin_users_email ON admin_users (email);

-- The cookie holds a random token; only its SHA-256 is here, so a copy of the table opens no session.
CREATE TABLE admin_sessions (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    admin_id   uuid NOT NULL REFERENCES admin_users (id) ON DELETE CASCADE,
    csrf_token text NOT NULL CHECK (csrf_token <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at)
);
CREATE INDEX admin_sessions_admin ON admin_sessions (admin_id);
CREATE INDEX admin_sessions_expiry ON admin_sessions (expires_at);

-- A shop, reached through one programme of one network.
CREATE TABLE merchants (
    id                 uuid PRIMARY KEY,
    name               text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    network            text NOT NULL CHECK (network IN ('admitad', 'vcommission', 'cuelinks')),
    campaign_id        text NOT NULL CHECK (campaign_id <> ''),
    -- The full rules are the linter's (domain::offer); these stop what would lose every click.
    tracking_template  text NOT NULL CHECK (tracking_template ~ '^https?://' AND tracking_template LIKE '%{click_id}%'
                                            AND length(tracking_template) <= 2000),
    allowed_hosts      text[] NOT NULL CHECK (cardinality(allowed_hosts) BETWEEN 1 AND 50
                                              AND array_position(allowed_hosts, NULL) IS NULL
                                              AND array_position(allowed_hosts, '') IS NULL),
    landing_url        text NOT NULL CHECK (landing_url ~ '^https?://' AND length(landing_url) <= 2000),
    cashback_bps       int NOT NULL CHECK (cashback_bps BETWEEN 0 AND 10000),
    cashback_cap_paise bigint CHECK (cashback_cap_paise > 0),
    active             boolean NOT NULL DEFAULT true,
    version            int NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    -- A network names the programme in its transactions; it must lead to one shop.
    UNIQUE (network, campaign_id)
);
CREATE INDEX merchants_updated ON merchants (updated_at);

CREATE TABLE offers (
    id                 uuid PRIMARY KEY,
    merchant_id        uuid NOT NULL REFERENCES merchants (id),
    title              text NOT NULL CHECK (title <> '' AND length(title) <= 300),
    target_url         text NOT NULL CHECK (target_url ~ '^https?://' AND length(target_url) <= 2000),
    -- NULL: the merchant's.
    cashback_bps       int CHECK (cashback_bps BETWEEN 0 AND 10000),
    cashback_cap_paise bigint CHECK (cashback_cap_paise > 0),
    active             boolean NOT NULL DEFAULT true,
    expires_at         timestamptz,
    version            int NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX offers_merchant ON offers (merchant_id);
CREATE INDEX offers_updated ON offers (updated_at);

-- What an offer promised at each of its versions: a click names the version, this row is the evidence.
CREATE TABLE offer_versions (
    offer_id           uuid NOT NULL,
    version            int NOT NULL,
    merchant_id        uuid NOT NULL,
    title              text NOT NULL,
    target_url         text NOT NULL,
    cashback_bps       int NOT NULL,
    cashback_cap_paise bigint,
    active             boolean NOT NULL,
    expires_at         timestamptz,
    recorded_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (offer_id, version)
);
CREATE TRIGGER offer_versions_append_only BEFORE UPDATE OR DELETE ON offer_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER offer_versions_not_truncated BEFORE TRUNCATE ON offer_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE products (
    id               uuid PRIMARY KEY,
    merchant_id      uuid REFERENCES merchants (id),
    title            text NOT NULL CHECK (title <> '' AND length(title) <= 300),
    kind             text NOT NULL CHECK (kind IN ('voucher', 'physical')),
    face_value_paise bigint NOT NULL CHECK (face_value_paise > 0),
    price_paise      bigint NOT NULL CHECK (price_paise > 0),
    active           boolean NOT NULL DEFAULT true,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX products_merchant ON products (merchant_id) WHERE merchant_id IS NOT NULL;

CREATE TABLE inventory (
    product_id   uuid PRIMARY KEY REFERENCES products (id) ON DELETE CASCADE,
    stock        int NOT NULL CHECK (stock >= 0),
    low_stock_at int NOT NULL DEFAULT 10 CHECK (low_stock_at >= 0),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- A change of anything but the bookkeeping columns is a new version, whoever makes it.
CREATE FUNCTION next_version() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER merchants_next_version BEFORE UPDATE ON merchants FOR EACH ROW
    WHEN ((OLD.name, OLD.network, OLD.campaign_id, OLD.tracking_template, OLD.allowed_hosts, OLD.landing_url, OLD.cashback_bps,
           OLD.cashback_cap_paise, OLD.active)
          IS DISTINCT FROM
          (NEW.name, NEW.network, NEW.campaign_id, NEW.tracking_template, NEW.allowed_hosts, NEW.landing_url, NEW.cashback_bps,
           NEW.cashback_cap_paise, NEW.active))
    EXECUTE FUNCTION next_version();
-- `version` is in the list so that a merchant's new terms can be passed on to its offers by touching it.
CREATE TRIGGER offers_next_version BEFORE UPDATE ON offers FOR EACH ROW
    WHEN ((OLD.merchant_id, OLD.title, OLD.target_url, OLD.cashback_bps, OLD.cashback_cap_paise, OLD.active, OLD.expires_at, OLD.version)
          IS DISTINCT FROM
          (NEW.merchant_id, NEW.title, NEW.target_url, NEW.cashback_bps, NEW.cashback_cap_paise, NEW.active, NEW.expires_at, NEW.version))
    EXECUTE FUNCTION next_version();

CREATE FUNCTION record_offer_version() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO offer_versions (offer_id, version, merchant_id, title, target_url, cashback_bps, cashback_cap_paise, active, expires_at)
    SELECT NEW.id, NEW.version, NEW.merchant_id, NEW.title, NEW.target_url, coalesce(NEW.cashback_bps, merchants.cashback_bps),
           coalesce(NEW.cashback_cap_paise, merchants.cashback_cap_paise), NEW.active, NEW.expires_at
    FROM merchants WHERE merchants.id = NEW.merchant_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER offers_recorded AFTER INSERT ON offers FOR EACH ROW EXECUTE FUNCTION record_offer_version();
CREATE TRIGGER offers_rerecorded AFTER UPDATE ON offers FOR EACH ROW
    WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION record_offer_version();

-- Offers that have no terms of their own show the merchant's, so new terms of the merchant are new versions of them.
CREATE FUNCTION pass_terms_on() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE offers SET version = version + 1
    WHERE merchant_id = NEW.id AND (cashback_bps IS NULL OR cashback_cap_paise IS NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER merchants_pass_terms_on AFTER UPDATE ON merchants FOR EACH ROW
    WHEN ((OLD.cashback_bps, OLD.cashback_cap_paise) IS DISTINCT FROM (NEW.cashback_bps, NEW.cashback_cap_paise))
    EXECUTE FUNCTION pass_terms_on();

-- NOTIFY catalogue, 'offer:<id>' or 'merchant:<id>', in the commit: every redirector forgets what it had cached.
-- A statement that touches many rows says 'all' once.
CREATE FUNCTION announce_catalogue() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    touched bigint;
BEGIN
    SELECT count(*) INTO touched FROM touched_rows;
    IF touched > 500 THEN
        PERFORM pg_notify('catalogue', 'all');
    ELSE
        PERFORM pg_notify('catalogue', TG_ARGV[0] || ':' || id) FROM touched_rows;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER merchants_added AFTER INSERT ON merchants REFERENCING NEW TABLE AS touched_rows
    FOR EACH STATEMENT EXECUTE FUNCTION announce_catalogue('merchant');
CREATE TRIGGER merchants_changed AFTER UPDATE ON merchants REFERENCING NEW TABLE AS touched_rows
    FOR EACH STATEMENT EXECUTE FUNCTION announce_catalogue('merchant');
CREATE TRIGGER merchants_removed AFTER DELETE ON merchants REFERENCING OLD TABLE AS touched_rows
    FOR EACH STATEMENT EXECUTE FUNCTION announce_catalogue('merchant');
CREATE TRIGGER offers_added AFTER INSERT ON offers REFERENCING NEW TABLE AS touched_rows
    FOR EACH STATEMENT EXECUTE FUNCTION announce_catalogue('offer');
CREATE TRIGGER offers_changed AFTER UPDATE ON offers REFERENCING NEW TABLE AS touched_rows
    FOR EACH STATEMENT EXECUTE FUNCTION announce_catalogue('offer');
CREATE TRIGGER offers_removed AFTER DELETE ON offers REFERENCING OLD TABLE AS touched_rows
    FOR EACH STATEMENT EXECUTE FUNCTION announce_catalogue('offer');
