-- Renews a lease by Redis' own clock; the first call takes it.
-- KEYS 1 leases   ARGV 1 lease  2 milliseconds  3 "1" to take it anew   Gives 1, or 0 when it was lost.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[3] ~= '1' and (not score or tonumber(score) < 0) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
