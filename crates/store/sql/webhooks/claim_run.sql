-- A run moves once a second, however many processes look; whoever holds it holds its row until the commit.
UPDATE webhook_replay_runs SET moved_at = now()
WHERE id = (SELECT id FROM webhook_replay_runs WHERE state = 'running' AND moved_at <= now() - interval '950 milliseconds'
            ORDER BY moved_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, source, verdict, worked_off, since, until, per_second, started_by, position
