-- Puts one dead job back on its list and forgets its death.
-- KEYS 1 dead  2 dead by time  3 ready  4 counts   ARGV 1 id  2 body to push   Gives 1 or 0.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[2])
redis.call('HINCRBY', KEYS[4], 'replayed', 1)
return 1
