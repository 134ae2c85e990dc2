-- Whether some try ended without certainty: the provider may have the message. An operator's replay sends again what was refused for
-- good, and never these. Of rows of before nobody knows it.
ALTER TABLE notifications ADD COLUMN may_be_taken boolean NOT NULL DEFAULT true;
ALTER TABLE notifications ALTER COLUMN may_be_taken SET DEFAULT false;
