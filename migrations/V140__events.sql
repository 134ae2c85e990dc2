-- News for shoppers in front of the shop's page go by the outbox too.
ALTER TABLE outbox DROP CONSTRAINT outbox_queue_check;
ALTER TABLE outbox ADD CONSTRAINT outbox_queue_check
    CHECK (queue IN ('clicks', 'email', 'sms', 'cashback', 'payments', 'receipts', 'events'));
