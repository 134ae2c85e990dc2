SELECT a.id, a.user_id, a.amount_paise, a.reason, a.status, a.requested_by, r.email, a.requested_at, d.email, a.decided_at
FROM adjustments a JOIN admin_users r ON r.id = a.requested_by LEFT JOIN admin_users d ON d.id = a.decided_by
WHERE a.id = $1 FOR UPDATE OF a
