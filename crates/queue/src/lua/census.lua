-- Where every job of a queue is, in one instant.
-- KEYS  1 ready  2 urgent  3 delayed  4 suspects  5 dead  6 counts  7 leases  8… in-flight of each lease
-- Gives {ready, urgent, delayed, suspects, dead, in flight, counts}; {} when there are leases that were not named.
if redis.call('ZCARD', KEYS[7]) ~= #KEYS - 7 then return {} end
local held = 0
for i = 8, #KEYS do held = held + redis.call('HLEN', KEYS[i]) end
return {
    redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('LLEN', KEYS[4]),
    redis.call('HLEN', KEYS[5]), held, redis.call('HGETALL', KEYS[6]),
}
