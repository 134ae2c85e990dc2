UPDATE webhook_replay_runs
SET position = coalesce($2, position), asked = asked + $3, state = CASE WHEN $4 THEN 'asked' ELSE state END
WHERE id = $1
