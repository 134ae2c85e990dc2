-- Refused for good, never taken by a provider, and no try of it is in doubt.
UPDATE notifications SET status = 'retry', rank = 0, updated_at = now()
WHERE event_key = $1 AND channel = $2 AND template = $3 AND status = 'failed' AND sent_at IS NULL AND NOT may_be_taken
