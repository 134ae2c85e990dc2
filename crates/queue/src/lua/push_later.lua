-- Schedules jobs. One that waits there already, byte for byte, is not there twice, and is not counted twice.
-- KEYS 1 delayed  2 counts  3 this minute   ARGV 1 due (ms)  2… mark and body   Gives how many were added.
local added = 0
for i = 2, #ARGV do added = added + redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[i]) end
if added > 0 then
    redis.call('HINCRBY', KEYS[2], 'scheduled', added)
    if redis.call('HINCRBY', KEYS[3], 'enqueued', added) == added then redis.call('EXPIRE', KEYS[3], 90000) end
end
return added
