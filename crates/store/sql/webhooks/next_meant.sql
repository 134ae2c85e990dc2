SELECT log.id
FROM webhook_logs AS log
WHERE log.verdict IN ('accepted', 'conflict') AND log.id >= uuid_floor($1) AND log.id < uuid_floor($2)
  AND ($3::text IS NULL OR log.source = $3) AND ($4::text IS NULL OR log.verdict = $4)
  AND ($5::boolean IS NULL OR $5 = EXISTS (SELECT FROM webhook_effects WHERE webhook_id = log.id))
  AND log.id > coalesce($6, '00000000-0000-0000-0000-000000000000'::uuid)
ORDER BY log.id
LIMIT $7
