DELETE FROM outbox WHERE relayed_at < now() - make_interval(days => $1)
