INSERT INTO quarantined_transactions (network, external_transaction_id, reason, raw_status, detail, raw)
VALUES ($1, $2, $3, $4, $5, $6::text::json)
ON CONFLICT (network, external_transaction_id) DO UPDATE
SET reason = excluded.reason, raw_status = excluded.raw_status, detail = excluded.detail, raw = excluded.raw, last_seen_at = now(),
    times_seen = quarantined_transactions.times_seen + 1, resolved_at = NULL
