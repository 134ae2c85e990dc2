DELETE FROM queue_samples WHERE taken_at < now() - make_interval(days => $1)
