-- Every message to a person: at most one per business event, channel and template.

CREATE TABLE notifications (
    id                  uuid PRIMARY KEY,
    event_key           text NOT NULL CHECK (event_key <> '' AND length(event_key) <= 200),
    channel             text NOT NULL CHECK (channel IN ('email', 'sms')),
    template            text NOT NULL CHECK (template <> ''),
    lang                text NOT NULL CHECK (lang IN ('en', 'hi')),
    user_id             uuid REFERENCES users (id),
    -- Masked: enough to recognise, too little to write to.
    recipient           text NOT NULL,
    -- sending: the provider is being asked, or was when the process died. retry: surely not accepted, to be sent again.
    -- unknown: asked, no answer. Then the provider's word: sent, deferred, opened, delivered, bounced, dropped, failed.
    status              text NOT NULL CHECK (status IN ('sending', 'retry', 'unknown', 'sent', 'delivered', 'opened', 'bounced',
                                                        'dropped', 'failed', 'suppressed')),
    attempts            int NOT NULL DEFAULT 1 CHECK (attempts > 0),
    provider            text NOT NULL,
    provider_message_id text,
    reason              text NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL DEFAULT now(),
    claimed_at          timestamptz NOT NULL DEFAULT now(),
    sent_at             timestamptz,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event_key, channel, template)
);
CREATE INDEX notifications_user ON notifications (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX notifications_provider_id ON notifications (provider_message_id) WHERE provider_message_id IS NOT NULL;

-- What providers reported, once each.
CREATE TABLE notification_events (
    notification_id uuid NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    provider_event  text NOT NULL,
    status          text NOT NULL,
    reason          text NOT NULL DEFAULT '',
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_id, provider_event)
);

-- Who is not written to any more, and why. The address is hashed: the list works without knowing whom it names.
CREATE TABLE suppressions (
    channel      text NOT NULL CHECK (channel IN ('email', 'sms')),
    address_hash bytea NOT NULL CHECK (length(address_hash) = 32),
    category     text NOT NULL DEFAULT 'all',
    reason       text NOT NULL CHECK (reason <> ''),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel, address_hash, category)
);

-- SMS texts as registered with the DLT.
CREATE TABLE sms_templates (
    template        text NOT NULL,
    lang            text NOT NULL CHECK (lang IN ('en', 'hi')),
    dlt_template_id text NOT NULL,
    entity_id       text NOT NULL,
    sender_id       text NOT NULL,
    category        text NOT NULL CHECK (category IN ('transactional', 'service_implicit', 'service_explicit', 'promotional')),
    body            text NOT NULL CHECK (body <> ''),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (template, lang)
);
