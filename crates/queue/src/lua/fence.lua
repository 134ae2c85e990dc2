-- From now on a turn that was sent before is refused, even if Redis sees it only later (a broken connection's buffer, a
-- blocked call): after this, what such turns claimed can be looked up and does not change any more.
-- KEYS 1 leases  2 turns   ARGV 1 lease  2 next claim number   Gives 1, or 0 when the lease is lost.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1] .. ':0', ARGV[2], ARGV[1] .. ':1', ARGV[2], ARGV[1] .. ':2', ARGV[2])
return 1
