SELECT queue, taken_at, waiting, in_flight, delayed, dead, oldest_age_s, done FROM queue_samples
WHERE taken_at >= $1 ORDER BY taken_at, queue
