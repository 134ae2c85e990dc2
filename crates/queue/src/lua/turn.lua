-- One turn of a worker: acknowledge what is done, then claim what comes next. One round trip, all or nothing.
-- KEYS  1 ready  2 urgent  3 in-flight of this lease  4 leases  5 paused  6 counts  7 suspects  8 suspect turn
-- ARGV  1 lease  2 jobs wanted  3 claim number of the first  4 "1" when nothing runs here  5 claim numbers of done jobs, by comma
-- Gives {state, claimed bodies…}: 0 claimed, 1 these are suspects, 2 suspects wait until nothing runs here, 3 paused, -1 lease lost.
local lease = redis.call('ZSCORE', KEYS[4], ARGV[1])
if not lease or tonumber(lease) < 0 then
    local lost = 0
    for _ in string.gmatch(ARGV[5], '[^,]+') do lost = lost + 1 end
    if lost > 0 then redis.call('HINCRBY', KEYS[6], 'refused', lost) end
    return {-1}
end
if ARGV[5] ~= '' then
    local done = {}
    for seq in string.gmatch(ARGV[5], '[^,]+') do done[#done + 1] = seq end
    local removed = redis.call('HDEL', KEYS[3], unpack(done))
    if removed > 0 then redis.call('HINCRBY', KEYS[6], 'done', removed) end
end
local wanted = tonumber(ARGV[2])
if wanted == 0 then return {0} end
if redis.call('EXISTS', KEYS[5]) == 1 then return {3} end

local bodies = {}
local state = 0
if redis.call('LLEN', KEYS[7]) > 0 then
    -- Jobs that were in hand when a worker died run alone, so that a poison pill takes nobody with it.
    local turn = redis.call('GET', KEYS[8])
    local holder = turn and redis.call('ZSCORE', KEYS[4], turn)
    if turn == ARGV[1] or not holder or tonumber(holder) < 0 then
        redis.call('SET', KEYS[8], ARGV[1])
        if ARGV[4] ~= '1' then return {2} end
        bodies = redis.call('LPOP', KEYS[7], 1)
        state = 1
    end
elseif redis.call('GET', KEYS[8]) == ARGV[1] then
    redis.call('DEL', KEYS[8])
end
if state == 0 then
    local share = wanted
    local waiting = redis.call('LLEN', KEYS[1])
    if waiting > 0 and wanted > 1 then
        -- Urgent first, but a tenth of each turn stays for the rest.
        share = wanted - math.max(1, math.floor(wanted / 10))
    end
    bodies = redis.call('LPOP', KEYS[2], share) or {}
    if waiting > 0 and #bodies < wanted then
        local rest = redis.call('LPOP', KEYS[1], wanted - #bodies)
        if #bodies == 0 then
            bodies = rest
        else
            for _, body in ipairs(rest) do bodies[#bodies + 1] = body end
        end
    end
end
if #bodies > 0 then
    local first = tonumber(ARGV[3])
    local fields = {}
    for i, body in ipairs(bodies) do
        fields[2 * i - 1] = first + i - 1
        fields[2 * i] = body
    end
    redis.call('HSET', KEYS[3], unpack(fields))
end
table.insert(bodies, 1, state)
return bodies
