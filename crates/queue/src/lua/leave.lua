-- Ends a lease that its holder gives up: what it still holds goes back to the head of the list, 500 at a time.
-- KEYS 1 leases  2 in-flight of this lease  3 ready  4 suspect turn   ARGV 1 lease   Gives how many went back.
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) < 0 then return 0 end
local scan = redis.call('HSCAN', KEYS[2], 0, 'COUNT', 500)[2]
for i = 1, #scan, 2 do
    redis.call('LPUSH', KEYS[3], scan[i + 1])
    redis.call('HDEL', KEYS[2], scan[i])
end
if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('ZREM', KEYS[1], ARGV[1])
    if redis.call('GET', KEYS[4]) == ARGV[1] then redis.call('DEL', KEYS[4]) end
end
return #scan / 2
