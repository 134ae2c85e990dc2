UPDATE withdrawals
SET status = $2, payout_id = coalesce($3, payout_id), utr = coalesce($4, utr), provider_status = coalesce($5, provider_status),
    provider_rank = greatest(provider_rank, $6), provider_event_at = greatest(provider_event_at, $7),
    failure_reason = CASE WHEN $2 IN ('failed', 'reversed') THEN coalesce($8, failure_reason) END,
    processing_at = coalesce(processing_at, now()),
    processed_at = CASE WHEN $2 = 'processed' THEN coalesce(processed_at, now()) ELSE processed_at END,
    returned_at = CASE WHEN $2 IN ('failed', 'reversed') THEN coalesce(returned_at, now()) END,
    updated_at = now()
WHERE id = $1
