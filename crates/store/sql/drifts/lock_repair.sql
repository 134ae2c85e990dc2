SELECT p.id, p.user_id, p.drift_paise, p.reason, p.status, p.requested_by, r.email, p.requested_at, d.email, p.decided_at
FROM wallet_repairs p JOIN admin_users r ON r.id = p.requested_by LEFT JOIN admin_users d ON d.id = p.decided_by
WHERE p.id = $1 FOR UPDATE OF p
