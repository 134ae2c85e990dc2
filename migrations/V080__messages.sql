-- Every message to a person: at most one per business event, channel and template.

CREATE TABLE notifications (
    id                  uuid PRIMARY KEY,
    event_key           text NOT NULL CHECK (event_key <> '' AND length(event_key) <= 200),
    channel             text NOT NULL CHECK (channel IN ('email', 'sms')),
    template            text NOT NULL CHECK (template <> ''),
    lang                text NOT NULL CHECK (lang IN ('en', 'hi')),
    -- What kind of message it is; suppressions and unsubscribing go by it.
    category            text NOT NULL CHECK (category IN ('security', 'money', 'reminder', 'operations')),
    user_id             uuid REFERENCES users (id),
    -- Masked: enough to recognise, too little to write to.
    recipient           text NOT NULL,
    -- SHA-256 of the address, to count and to suppress without knowing it.
    address_hash        bytea NOT NULL CHECK (length(address_hash) = 32),
    -- sending: the provider is being asked, or was when the process died. retry: surely not accepted, to be sent again.
    -- unknown: asked, no answer. expired, superseded, throttled, suppressed: not sent, on purpose.
    -- Then the provider's word: sent, deferred, failed, blocked, dropped, delivered, opened, bounced, complained.
    status              text NOT NULL CHECK (status IN ('sending', 'retry', 'unknown', 'expired', 'superseded', 'throttled',
                                                        'suppressed', 'sent', 'deferred', 'failed', 'blocked', 'dropped',
                                                        'delivered', 'opened', 'bounced', 'complained')),
    -- The order of these states: a report with a lower rank changes nothing.
    rank                smallint NOT NULL DEFAULT 0 CHECK (rank BETWEEN 0 AND 9),
    attempts            int NOT NULL DEFAULT 1 CHECK (attempts > 0),
    provider            text NOT NULL,
    provider_message_id text,
    reason              text NOT NULL DEFAULT '',
    -- Parts that an SMS is billed as; null for mails.
    parts               smallint CHECK (parts > 0),
    queued_at           timestamptz NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    claimed_at          timestamptz NOT NULL DEFAULT now(),
    sent_at             timestamptz,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event_key, channel, template)
);
CREATE INDEX notifications_user ON notifications (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX notifications_address ON notifications (address_hash, created_at);
CREATE INDEX notifications_provider_id ON notifications (provider_message_id) WHERE provider_message_id IS NOT NULL;

-- What providers reported, once each.
CREATE TABLE notification_events (
    notification_id uuid NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    provider_event  text NOT NULL CHECK (provider_event <> ''),
    status          text NOT NULL CHECK (status <> ''),
    reason          text NOT NULL DEFAULT '',
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_id, provider_event)
);
-- "Do reports come in at all?", asked when one is missing.
CREATE INDEX notification_events_recorded ON notification_events (recorded_at);

-- Who is not written to any more, and why. The address is hashed: the list works without knowing whom it names.
CREATE TABLE suppressions (
    channel      text NOT NULL CHECK (channel IN ('email', 'sms')),
    address_hash bytea NOT NULL CHECK (length(address_hash) = 32),
    -- A category of messages, or all of them.
    category     text NOT NULL DEFAULT 'all' CHECK (category IN ('all', 'security', 'money', 'reminder', 'operations')),
    reason       text NOT NULL CHECK (reason <> ''),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel, address_hash, category)
);

-- SMS texts as registered with the DLT; they stand over those that the notifier brings along.
CREATE TABLE sms_templates (
    template        text NOT NULL CHECK (template <> ''),
    lang            text NOT NULL CHECK (lang IN ('en', 'hi')),
    dlt_template_id text NOT NULL CHECK (dlt_template_id <> ''),
    entity_id       text NOT NULL CHECK (entity_id <> ''),
    sender_id       text NOT NULL CHECK (sender_id <> ''),
    category        text NOT NULL CHECK (category IN ('transactional', 'service_implicit', 'service_explicit', 'promotional')),
    -- With typed variables, such as {#numeric#}.
    body            text NOT NULL CHECK (body <> ''),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (template, lang)
);
