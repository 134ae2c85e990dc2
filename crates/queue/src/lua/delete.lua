-- Deletes up to 500 dead letters.   KEYS 1 dead  2 dead by time  3 counts   ARGV ids   Gives how many there were.
local deleted = redis.call('HDEL', KEYS[1], unpack(ARGV))
redis.call('ZREM', KEYS[2], unpack(ARGV))
if deleted > 0 then redis.call('HINCRBY', KEYS[3], 'deleted', deleted) end
return deleted
