-- What somebody has to look at a few times a second: moves up to 500 due jobs to their list, and looks for a dead lease.
-- KEYS  1 delayed  2 ready  3 urgent  4 leases  5 counts  6 pulse  7 suspects  8 in-flight of our lease
-- ARGV  1 lease  2 gap (ms) in which nobody looked that counts as an outage  3 time (ms) to give everybody after one
-- Gives {moved, milliseconds until the next is due or -1, a dead lease or "", jobs waiting, suspects, 1 when our lease holds,
-- jobs in hand under our lease}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 500)
if #due > 0 then
    redis.call('ZREM', KEYS[1], unpack(due))
    local ready, urgent = {}, {}
    for i = 1, #due do
        local into = string.sub(due[i], 1, 1) == 'u' and urgent or ready
        into[#into + 1] = string.sub(due[i], 2)
    end
    if #ready > 0 then redis.call('RPUSH', KEYS[2], unpack(ready)) end
    if #urgent > 0 then redis.call('RPUSH', KEYS[3], unpack(urgent)) end
    redis.call('HINCRBY', KEYS[5], 'returned', #due)
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')

-- After an outage every lease looks dead until its holder has had time to renew it.
local pulse = redis.call('HMGET', KEYS[6], 'at', 'reap_after')
local after = tonumber(pulse[2] or 0)
if pulse[1] and now - tonumber(pulse[1]) > tonumber(ARGV[2]) then after = now + ARGV[3] end
redis.call('HSET', KEYS[6], 'at', now, 'reap_after', after)
local dead = ''
if now >= after then dead = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 1)[1] or '' end

local lease = redis.call('ZSCORE', KEYS[4], ARGV[1])
return {
    #due, next[2] and math.max(0, math.ceil(next[2] - now)) or -1, dead,
    redis.call('LLEN', KEYS[2]) + redis.call('LLEN', KEYS[3]), redis.call('LLEN', KEYS[7]),
    lease and tonumber(lease) >= 0 and 1 or 0, redis.call('HLEN', KEYS[8]),
}
