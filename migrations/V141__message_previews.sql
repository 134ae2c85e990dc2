-- What each message looks like, with sample values, as the notifier of now writes it: for people who look at a delivery. What was sent
-- to a person is not kept.
CREATE TABLE message_previews (
    channel    text NOT NULL CHECK (channel IN ('email', 'sms')),
    template   text NOT NULL CHECK (template <> ''),
    lang       text NOT NULL CHECK (lang IN ('en', 'hi')),
    subject    text NOT NULL DEFAULT '',
    body       text NOT NULL CHECK (body <> ''),
    html       text NOT NULL DEFAULT '',
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel, template, lang)
);
