-- In a cluster the plain urgent list lies in another slot than its queue. First step of emptying it: up to 500 jobs are set
-- aside under a number, in the same slot. What an earlier caller set aside and did not finish comes first.
-- KEYS 1 urgent list  2 set aside (a hash of number → jobs)   ARGV 1 a fresh number
-- Gives {number, bodies…}; {} when there is nothing.
local before = redis.call('HRANDFIELD', KEYS[2], 1)[1]
local number = before or ARGV[1]
local bodies
if before then
    bodies = cmsgpack.unpack(redis.call('HGET', KEYS[2], before))
else
    bodies = redis.call('LPOP', KEYS[1], 500)
    if not bodies then return {} end
    redis.call('HSET', KEYS[2], number, cmsgpack.pack(bodies))
end
table.insert(bodies, 1, number)
return bodies
