SELECT u.id, u.name, u.email, u.lang, sum(e.amount_paise)::bigint, count(*)
FROM cashback_events e JOIN users u ON u.id = e.user_id
WHERE e.status = 'pending' AND e.amount_paise > 0 AND e.occurred_at < $1 AND u.id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid) AND u.email IS NOT NULL
  AND NOT EXISTS (SELECT FROM suppressions s
                  WHERE s.channel = 'email' AND s.address_hash = sha256(convert_to(lower(u.email), 'UTF8'))
                    AND s.category IN ('all', 'reminder'))
GROUP BY u.id
ORDER BY u.id
LIMIT $3
