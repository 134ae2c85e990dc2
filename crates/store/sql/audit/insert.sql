INSERT INTO audit_logs (id, admin_id, actor, role, action, target, reason, before, after, remote_address, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
