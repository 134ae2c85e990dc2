-- Ends a lease that its holder gives up: what it still holds goes back to where it came from, 500 at a time.
-- KEYS 1 leases  2 in-flight of this lease  3 ready  4 urgent  5 suspects  6 suspect turn  7 turns  8 counts   ARGV 1 lease
-- Gives {jobs given back, 1 when there are more}.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) < 0 then return {0, 0} end
local held = redis.call('HRANDFIELD', KEYS[2], 500, 'WITHVALUES')
local jobs = {}
for i = 1, #held, 2 do jobs[#jobs + 1] = {tonumber(string.match(held[i], '^%d+')), held[i], held[i + 1]} end
-- The last claimed goes first, so that the first claimed ends up at the head.
table.sort(jobs, function(a, b) return a[1] > b[1] end)
local returned = 0
for i = 1, #jobs do
    local field, body = jobs[i][2], jobs[i][3]
    local crashes = string.match(field, 's(%d)$')
    if crashes then
        redis.call('LPUSH', KEYS[5], crashes .. body)
    else
        redis.call('LPUSH', string.match(field, 'u$') and KEYS[4] or KEYS[3], body)
        returned = returned + 1
    end
    redis.call('HDEL', KEYS[2], field)
end
if returned > 0 then redis.call('HINCRBY', KEYS[8], 'returned', returned) end
if redis.call('EXISTS', KEYS[2]) == 1 then return {#jobs, 1} end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[7], ARGV[1] .. ':0', ARGV[1] .. ':1', ARGV[1] .. ':2')
local holder = redis.call('GET', KEYS[6])
if holder and string.sub(holder, 2) == ARGV[1] then redis.call('DEL', KEYS[6]) end
return {#jobs, 0}
