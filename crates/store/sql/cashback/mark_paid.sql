WITH paid_out AS (
    SELECT coalesce(sum(amount_paise), 0) AS total FROM withdrawals WHERE user_id = $1 AND status = 'processed'
), ranked AS (
    SELECT e.id, e.status, e.funded AND (e.held_until > now()) IS NOT TRUE AS is_payable,
           sum(e.credited_paise) OVER (ORDER BY e.confirmed_at, e.id) <= (SELECT total FROM paid_out) AS is_paid
    FROM cashback_events e WHERE e.user_id = $1 AND e.credited_paise > 0
), wanted AS (
    SELECT id, status AS status_before,
           CASE WHEN is_paid THEN 'paid' WHEN status <> 'paid' THEN status WHEN is_payable THEN 'payable' ELSE 'confirmed' END AS status
    FROM ranked
), moved AS (
    UPDATE cashback_events e SET status = wanted.status, revision = e.revision + 1, updated_at = now()
    FROM wanted WHERE e.id = wanted.id AND e.status <> wanted.status
    RETURNING e.id, e.revision, wanted.status_before, e.status, e.amount_paise
)
INSERT INTO cashback_history (cashback_id, revision, status_before, status, amount_before_paise, amount_paise, cause)
SELECT id, revision, status_before, status, amount_paise, amount_paise, $2 FROM moved
