SELECT log.id
FROM webhook_logs AS log
WHERE log.verdict IN ('accepted', 'conflict') AND log.source = $1 AND log.id >= uuid_floor($2) AND log.id < uuid_floor($3)
  AND (NOT $4 OR NOT EXISTS (SELECT FROM webhook_effects WHERE webhook_id = log.id))
ORDER BY log.id
LIMIT $5
