SELECT e.user_id, wanted.month, sum(e.amount_paise)::bigint
FROM (SELECT DISTINCT * FROM unnest($1::uuid[], $2::date[]) AS named (user_id, month)) AS wanted
JOIN cashback_events e ON e.user_id = wanted.user_id AND e.status NOT IN ('declined', 'reversed')
     AND e.occurred_at >= wanted.month::timestamp AT TIME ZONE 'Asia/Kolkata'
     AND e.occurred_at < (wanted.month + interval '1 month') AT TIME ZONE 'Asia/Kolkata'
GROUP BY 1, 2
