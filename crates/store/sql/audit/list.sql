SELECT id, at, actor, role, action, target, reason, before, after, remote_address
FROM audit_logs
WHERE id < $1 AND ($2 = '' OR actor = $2) AND ($3 = '' OR target = $3)
ORDER BY id DESC LIMIT $4
