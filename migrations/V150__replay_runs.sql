-- Many webhooks worked off again at one person's word: first a preview, then, when somebody starts it, all of them, so many a
-- second. What is meant is fixed by the preview, so what comes in between is not replayed unseen.
CREATE TABLE webhook_replay_runs (
    id           uuid PRIMARY KEY,
    -- Null means all.
    source       text,
    verdict      text CHECK (verdict IN ('accepted', 'duplicate', 'conflict', 'malformed', 'rejected')),
    worked_off   boolean,
    since        timestamptz NOT NULL,
    until        timestamptz NOT NULL,
    -- How many there were at the preview, by source, event and verdict.
    groups       jsonb NOT NULL,
    per_second   int NOT NULL CHECK (per_second > 0),
    previewed_by text NOT NULL CHECK (previewed_by <> ''),
    previewed_at timestamptz NOT NULL DEFAULT now(),
    -- previewed: waits for somebody to start it. running: is being asked for. asked: all were asked for. aborted: no more are.
    state        text NOT NULL DEFAULT 'previewed' CHECK (state IN ('previewed', 'running', 'asked', 'aborted')),
    started_by   text,
    started_at   timestamptz,
    -- The last webhook that was asked for, and how many were; any process goes on from there.
    position     uuid,
    asked        bigint NOT NULL DEFAULT 0,
    moved_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((started_at IS NULL) = (started_by IS NULL)),
    CHECK (state NOT IN ('running', 'asked') OR started_at IS NOT NULL)
);
CREATE INDEX webhook_replay_runs_running ON webhook_replay_runs (moved_at) WHERE state = 'running';

ALTER TABLE webhook_replays ADD COLUMN run_id uuid REFERENCES webhook_replay_runs (id);
-- A run asks once for each webhook, and once for a preview.
CREATE UNIQUE INDEX webhook_replays_of_run ON webhook_replays (run_id, dry_run, webhook_id) WHERE run_id IS NOT NULL;
