-- Hands on up to 500 jobs of a lease that has run out: they become suspects, with one crash more.
-- KEYS 1 leases  2 in-flight of that lease  3 suspects  4 counts  5 turns   ARGV 1 lease
-- Gives {jobs handed on, 1 when there are more}; {-1, 0} when the lease is not dead.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then return {-1, 0} end
local time = redis.call('TIME')
if tonumber(score) > time[1] * 1000 + math.floor(time[2] / 1000) then return {-1, 0} end
-- From here on its holder may write nothing.
redis.call('ZADD', KEYS[1], -1, ARGV[1])
local held = redis.call('HRANDFIELD', KEYS[2], 500, 'WITHVALUES')
local fields, suspects = {}, {}
for i = 1, #held, 2 do
    local crashes = tonumber(string.match(held[i], 's(%d)$') or 0)
    fields[#fields + 1] = held[i]
    suspects[#suspects + 1] = math.min(9, crashes + 1) .. held[i + 1]
end
if #fields > 0 then
    redis.call('HDEL', KEYS[2], unpack(fields))
    redis.call('RPUSH', KEYS[3], unpack(suspects))
    redis.call('HINCRBY', KEYS[4], 'handed_on', #fields)
end
if redis.call('EXISTS', KEYS[2]) == 1 then return {#fields, 1} end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[5], ARGV[1] .. ':0', ARGV[1] .. ':1', ARGV[1] .. ':2')
return {#fields, 0}
