-- Writes the outcome of one job that is not simply done.
-- KEYS  1 in-flight of this lease  2 leases  3 counts  4 delayed  5 dead  6 dead by time  7 ready  8 expired
-- ARGV  1 lease  2 claim number  3 what: retry | defer | dead | expired | return  4 body or record  5 due (ms) or time of death  6 id
-- Gives 1, or 0 when the lease is lost or the job is no longer in hand.
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not lease or tonumber(lease) < 0 or redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then
    redis.call('HINCRBY', KEYS[3], 'refused', 1)
    return 0
end
local what = ARGV[3]
if what == 'retry' or what == 'defer' then
    redis.call('ZADD', KEYS[4], ARGV[5], ARGV[4])
    redis.call('HINCRBY', KEYS[3], what == 'retry' and 'retried' or 'deferred', 1)
elseif what == 'dead' then
    redis.call('HSET', KEYS[5], ARGV[6], ARGV[4])
    redis.call('ZADD', KEYS[6], ARGV[5], ARGV[6])
    redis.call('HINCRBY', KEYS[3], 'dead', 1)
elseif what == 'expired' then
    redis.call('LPUSH', KEYS[8], ARGV[4])
    redis.call('LTRIM', KEYS[8], 0, 999)
    redis.call('HINCRBY', KEYS[3], 'expired', 1)
else
    redis.call('LPUSH', KEYS[7], ARGV[4])
end
return 1
