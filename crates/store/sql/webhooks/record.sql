-- One row for the whole batch: a row for each webhook is mostly the work of sending and reading rows.
SELECT array_agg(webhook_id), array_agg(verdict)
FROM record_webhooks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
