-- Puts up to 100 dead jobs back on their list and forgets their deaths.
-- KEYS 1 dead  2 dead by time  3 ready  4 counts  5 this minute  6 log of replays
-- ARGV three for each: id, body to push, note for the log.   Gives how many went back.
local replayed = 0
for i = 1, #ARGV, 3 do
    if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
        redis.call('ZREM', KEYS[2], ARGV[i])
        redis.call('RPUSH', KEYS[3], ARGV[i + 1])
        redis.call('LPUSH', KEYS[6], ARGV[i + 2])
        replayed = replayed + 1
    end
end
if replayed > 0 then
    redis.call('LTRIM', KEYS[6], 0, 999)
    redis.call('HINCRBY', KEYS[4], 'returned', replayed)
    redis.call('HINCRBY', KEYS[4], 'replayed', replayed)
    if redis.call('HINCRBY', KEYS[5], 'replayed', replayed) == replayed then redis.call('EXPIRE', KEYS[5], 90000) end
end
return replayed
