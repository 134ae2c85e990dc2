-- Second step: puts what was set aside on the queue's own urgent list, once for each number. (Third: HDEL of the number.)
-- KEYS 1 urgent  2 numbers seen   ARGV 1 number  2 now (ms)  3… bodies   Gives 1, or 0 when it was put before.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2] - 86400000)
if redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[1], unpack(ARGV, 3))
return 1
