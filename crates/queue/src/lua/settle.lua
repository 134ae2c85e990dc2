-- Writes the outcomes of up to 100 jobs that are not simply done.
-- KEYS  1 in-flight of this lease  2 leases  3 counts  4 this minute  5 delayed  6 dead  7 dead by time  8 ready
--       9 urgent  10 suspects  11 expired
-- ARGV  1 lease, then five for each job: field, what, bytes, score, id. What is one of
--       retried | deferred | held (bytes: mark and body; score: when due), dead (bytes: the record; score: time of death),
--       expired (bytes: a note), returned (bytes: the body as it was claimed).
-- Gives {written, unknown}; unknown were not in hand (written by an earlier call). {-1, n} when the lease is lost.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) < 0 then
    local refused = (#ARGV - 1) / 5
    redis.call('HINCRBY', KEYS[3], 'refused', refused)
    return {-1, refused}
end
local counts, written, unknown = {}, 0, 0
local function count(what) counts[what] = (counts[what] or 0) + 1 end
for i = 2, #ARGV, 5 do
    local field, what, bytes = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if redis.call('HDEL', KEYS[1], field) == 0 then
        unknown = unknown + 1
    else
        written = written + 1
        count(what)
        if what == 'dead' then
            if redis.call('HSET', KEYS[6], ARGV[i + 4], bytes) == 0 then count('merged') end
            redis.call('ZADD', KEYS[7], ARGV[i + 3], ARGV[i + 4])
        elseif what == 'expired' then
            redis.call('LPUSH', KEYS[11], bytes)
            redis.call('LTRIM', KEYS[11], 0, 999)
        elseif what == 'returned' then
            local crashes = string.match(field, 's(%d)$')
            if crashes then
                counts[what] = counts[what] - 1
                redis.call('LPUSH', KEYS[10], crashes .. bytes)
            else
                redis.call('LPUSH', string.match(field, 'u$') and KEYS[9] or KEYS[8], bytes)
            end
        elseif redis.call('ZADD', KEYS[5], ARGV[i + 3], bytes) == 0 then
            -- The same job, byte for byte, waits for its time already: two deliveries became one.
            count('merged')
        end
    end
end
for what, number in pairs(counts) do
    if number > 0 then
        redis.call('HINCRBY', KEYS[3], what, number)
        if redis.call('HINCRBY', KEYS[4], what, number) == number then redis.call('EXPIRE', KEYS[4], 90000) end
    end
end
return {written, unknown}
