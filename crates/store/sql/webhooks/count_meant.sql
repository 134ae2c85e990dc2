-- Ids sort by their time as text does, and only texts have a least one.
SELECT log.source, log.event, log.verdict, count(*),
       min(log.id::text COLLATE "C")::uuid AS oldest, max(log.id::text COLLATE "C")::uuid AS newest
FROM webhook_logs AS log
WHERE log.id >= uuid_floor($1) AND log.id < uuid_floor($2)
  AND ($3::text IS NULL OR log.source = $3) AND ($4::text IS NULL OR log.verdict = $4)
  AND ($5::boolean IS NULL OR $5 = EXISTS (SELECT FROM webhook_effects WHERE webhook_id = log.id))
GROUP BY log.source, log.event, log.verdict
ORDER BY count(*) DESC, log.source, log.event, log.verdict
