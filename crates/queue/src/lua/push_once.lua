-- Pushes a job unless its dedupe key was used within the window.
-- KEYS 1 list or delayed set  2 dedupe key  3 counts  4 this minute
-- ARGV 1 body (for the delayed set with its mark)  2 window (ms)  3 due (ms), empty for now  4 id
-- Gives the id under which it was pushed before, or nil when it is pushed now.
local before = redis.call('SET', KEYS[2], ARGV[4], 'NX', 'GET', 'PX', ARGV[2])
if before then return before end
local what, added = 'pushed', 1
if ARGV[3] == '' then
    redis.call('RPUSH', KEYS[1], ARGV[1])
else
    what = 'scheduled'
    added = redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
redis.call('HINCRBY', KEYS[3], what, added)
if redis.call('HINCRBY', KEYS[4], 'enqueued', added) == added then redis.call('EXPIRE', KEYS[4], 90000) end
return false
