SELECT forget_pending_webhooks($1)
