-- Its sender got no answer (or died) and no report came, while reports of later messages of the same provider did.
UPDATE notifications
SET status = 'sending', claimed_at = now(), attempts = attempts + 1, may_be_taken = true, updated_at = now()
WHERE id = $1 AND status IN ('sending', 'unknown') AND claimed_at < now() - make_interval(secs => $2)
  AND EXISTS (
      SELECT FROM notification_events AS report JOIN notifications AS later ON later.id = report.notification_id
      WHERE report.recorded_at > notifications.claimed_at + make_interval(secs => $2 / 2)
        AND later.provider = notifications.provider AND later.claimed_at > notifications.claimed_at)
RETURNING attempts
