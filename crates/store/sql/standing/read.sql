SELECT outbox.waiting, outbox.since, webhooks.waiting, webhooks.since, unmatched.open, recent.matched, recent.unmatched
FROM (SELECT count(*), min(created_at) FROM outbox WHERE relayed_at IS NULL) AS outbox (waiting, since),
     (SELECT count(*), min(created_at) FROM webhook_pending) AS webhooks (waiting, since),
     (SELECT count(*) FROM unmatched_transactions WHERE resolved_at IS NULL) AS unmatched (open),
     (SELECT count(click_id), count(*) - count(click_id) FROM affiliate_transactions
      WHERE first_seen_at > now() - interval '7 days') AS recent (matched, unmatched)
