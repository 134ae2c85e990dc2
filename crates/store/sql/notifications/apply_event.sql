WITH rank(status, place) AS (
    VALUES ('sending', 0), ('retry', 0), ('unknown', 0), ('sent', 1), ('failed', 2), ('suppressed', 2), ('dropped', 2), ('delivered', 3),
           ('opened', 4), ('bounced', 5))
UPDATE notifications
SET status = $2, reason = CASE WHEN $3 = '' THEN reason ELSE $3 END, updated_at = now()
WHERE id = $1
  AND (SELECT place FROM rank WHERE rank.status = $2) > (SELECT place FROM rank WHERE rank.status = notifications.status)
