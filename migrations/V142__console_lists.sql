-- The console's lists by what is rare in them: without these, a page of the few that failed reads a million that did not.
CREATE INDEX notifications_status ON notifications (status, id);
CREATE INDEX webhook_logs_verdict ON webhook_logs (verdict, id);
