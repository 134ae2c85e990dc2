-- One search shows what belongs together: by the id that a request carried, and by the names that senders of webhooks use.
CREATE INDEX notifications_correlation ON notifications (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX webhook_logs_correlation ON webhook_logs (correlation_id) WHERE correlation_id IS NOT NULL AND verdict <> 'rejected';
-- What a webhook was about, in its sender's words: an order, a payment, a payout, a network's transaction or our click. Clicks have no
-- such index: they are too many, and what came of one leads to it.
ALTER TABLE webhook_effects ADD COLUMN about text;
CREATE INDEX webhook_effects_about ON webhook_effects (about) WHERE about IS NOT NULL;
