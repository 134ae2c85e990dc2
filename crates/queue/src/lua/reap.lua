-- Finds one lease that has run out and hands on up to 100 of its jobs. O(1) when nothing has.
-- The in-flight key of a lease is the prefix with the lease behind it: all in the queue's own slot.
-- KEYS 1 leases  2 suspects  3 counts  4 crashes  5 dead  6 dead by time
-- ARGV 1 in-flight prefix  2 crashes that bury a job
-- Gives {jobs handed on, jobs buried, lease}; {} when nothing was to do.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
if #found == 0 then return {} end
local lease = found[1]
-- From here on its holder may write nothing.
redis.call('ZADD', KEYS[1], -1, lease)
local inflight = ARGV[1] .. lease
local scan = redis.call('HSCAN', inflight, 0, 'COUNT', 100)[2]
local moved, buried = 0, 0
for i = 1, #scan, 2 do
    local seq, body = scan[i], scan[i + 1]
    local name = redis.sha1hex(body)
    local crashes = redis.call('HINCRBY', KEYS[4], name, 1)
    redis.call('HDEL', inflight, seq)
    if crashes >= tonumber(ARGV[2]) then
        local id = name
        local readable, envelope = pcall(cjson.decode, body)
        if readable and type(envelope) == 'table' and type(envelope.id) == 'string' then id = envelope.id end
        redis.call('HSET', KEYS[5], id, cjson.encode({
            body = body, reason = 'crashed', died_at = now,
            error = 'its worker died ' .. crashes .. ' times while it ran'}))
        redis.call('ZADD', KEYS[6], now, id)
        redis.call('HDEL', KEYS[4], name)
        redis.call('HINCRBY', KEYS[3], 'dead', 1)
        buried = buried + 1
    else
        redis.call('RPUSH', KEYS[2], body)
        moved = moved + 1
    end
end
if moved > 0 then redis.call('HINCRBY', KEYS[3], 'handed_on', moved) end
if redis.call('EXISTS', inflight) == 0 then redis.call('ZREM', KEYS[1], lease) end
return {moved, buried, lease}
