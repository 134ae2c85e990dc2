UPDATE cron_runs r
SET status = 'running', token = nextval('cron_tokens'), attempt = CASE WHEN status = 'running' THEN attempt + 1 ELSE attempt END,
    worker = $3, lease_until = clock_timestamp() + make_interval(secs => $4), started_at = coalesce(started_at, clock_timestamp())
WHERE id = $1 AND token = $2
  AND ((status = 'running' AND lease_until < clock_timestamp())
       OR (status = 'requested' AND NOT EXISTS (
               SELECT FROM cron_runs other WHERE other.job = r.job AND other.status = 'running' AND other.exclusive)))
RETURNING token, attempt
