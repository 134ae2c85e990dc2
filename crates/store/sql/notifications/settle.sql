UPDATE notifications
SET status = CASE WHEN answer.rank > notifications.rank OR notifications.rank = 0 THEN answer.status ELSE notifications.status END,
    rank = greatest(answer.rank, notifications.rank),
    reason = CASE WHEN answer.rank > notifications.rank OR notifications.rank = 0 THEN answer.reason ELSE notifications.reason END,
    provider = answer.provider,
    provider_message_id = coalesce(answer.provider_message_id, notifications.provider_message_id),
    parts = coalesce(answer.parts, notifications.parts),
    may_be_taken = notifications.may_be_taken OR answer.may_be_taken,
    sent_at = CASE WHEN answer.status = 'sent' THEN coalesce(notifications.sent_at, now()) ELSE notifications.sent_at END,
    updated_at = now()
FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::boolean[])
     AS answer (id, status, rank, provider, provider_message_id, reason, parts, may_be_taken)
WHERE notifications.id = answer.id
