SELECT DISTINCT ON (queue) queue, dead FROM queue_samples WHERE taken_at >= $1 ORDER BY queue, taken_at
