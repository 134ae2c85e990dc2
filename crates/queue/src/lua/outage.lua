-- The fleet's outcomes of the last ten seconds, and whether they are an outage.
-- KEYS 1 outcomes   ARGV 1 successes and 2 failures since the last call  3 failures that can begin an outage
--      4 share of failures that is one, in percent  5 longest outage (ms)
-- Gives {1 while tries are not counted, since when (ms)}.
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = second * 1000 + math.floor(time[2] / 1000)
local slot = second % 10
if tonumber(redis.call('HGET', KEYS[1], 't' .. slot) or 0) ~= second then
    redis.call('HSET', KEYS[1], 't' .. slot, second, 'ok' .. slot, 0, 'bad' .. slot, 0)
end
local ok, bad = tonumber(ARGV[1]), tonumber(ARGV[2])
if ok > 0 then redis.call('HINCRBY', KEYS[1], 'ok' .. slot, ok) end
if bad > 0 then redis.call('HINCRBY', KEYS[1], 'bad' .. slot, bad) end
ok, bad = 0, 0
for i = 0, 9 do
    local seen = redis.call('HMGET', KEYS[1], 't' .. i, 'ok' .. i, 'bad' .. i)
    if seen[1] and tonumber(seen[1]) > second - 10 then ok, bad = ok + seen[2], bad + seen[3] end
end
redis.call('EXPIRE', KEYS[1], 7200)
local since = tonumber(redis.call('HGET', KEYS[1], 'since') or 0)
local failing = bad > 0 and bad * 100 >= (ok + bad) * tonumber(ARGV[4])
if since == 0 and failing and bad >= tonumber(ARGV[3]) then
    since = now
    redis.call('HSET', KEYS[1], 'since', since)
elseif since > 0 and ok > bad then
    since = 0
    redis.call('HDEL', KEYS[1], 'since')
end
-- While it lasts tries are rare, so silence is no recovery: only successes are.
return {since > 0 and now - since < tonumber(ARGV[5]) and 1 or 0, since}
