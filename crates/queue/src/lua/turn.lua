-- One turn of a worker: acknowledge what is done, then claim what comes next. One round trip, all or nothing.
-- KEYS  1 ready  2 urgent  3 in-flight of this lease  4 leases  5 paused  6 counts  7 this minute  8 suspects
--       9 suspect turn  10 turns  11 bucket
-- ARGV  1 lease  2 channel  3 jobs wanted  4 claim number of the first  5 "1" when suspects may run here now
--       6 "1" to take an ordinary job first  7 jobs a second (0: no limit)  8 burst  9… fields of done jobs
-- Gives {state, number, bodies…}. States: 0 claimed (number: how many are urgent, they come first), 1 a suspect (number:
-- its crashes), 2 suspects wait until nothing runs here, 3 paused, 4 over the rate (number: milliseconds to wait),
-- -1 lease lost, -2 this turn was taken before (the call was repeated, or overtaken by a fence).
local score = redis.call('ZSCORE', KEYS[4], ARGV[1])
local done = #ARGV - 8
if not score or tonumber(score) < 0 then
    if done > 0 then redis.call('HINCRBY', KEYS[6], 'refused', done) end
    return {-1, 0}
end
if done > 0 then
    local removed = redis.call('HDEL', KEYS[3], unpack(ARGV, 9))
    if removed > 0 then
        redis.call('HINCRBY', KEYS[6], 'done', removed)
        if redis.call('HINCRBY', KEYS[7], 'done', removed) == removed then redis.call('EXPIRE', KEYS[7], 90000) end
    end
end
local wanted = tonumber(ARGV[3])
if wanted == 0 then return {0, 0} end
local first = tonumber(ARGV[4])
local turn = ARGV[1] .. ':' .. ARGV[2]
if tonumber(redis.call('HGET', KEYS[10], turn) or 0) > first then return {-2, 0} end
if redis.call('EXISTS', KEYS[5]) == 1 then return {3, 0} end

local rate, tokens, now = tonumber(ARGV[7]), 0, 0
if rate > 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000 + time[2] / 1000
    local burst = tonumber(ARGV[8])
    local at = tonumber(redis.call('HGET', KEYS[11], 'at') or now)
    tokens = tonumber(redis.call('HGET', KEYS[11], 'tokens') or burst)
    tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000)
    if tokens < 1 then return {4, math.ceil((1 - tokens) * 1000 / rate)} end
    wanted = math.min(wanted, math.floor(tokens))
end

-- Numbers as text, cheaply: writing one as a decimal costs Redis as much as storing a job, so ten share it.
local tens, text = -1, ''
local digits = {[0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'}
local function decimal(n)
    local upper = math.floor(n / 10)
    if upper ~= tens then
        tens = upper
        text = upper > 0 and string.format('%d', upper) or ''
    end
    return text .. digits[n % 10]
end

local bodies, fields, state, number = {}, {}, 0, 0
if redis.call('LLEN', KEYS[8]) > 0 then
    -- What was in hand when a worker died runs alone, so that a poison pill takes nobody with it. The turn is "r" and the
    -- lease that runs a suspect, or "w" and a lease that stopped claiming until it has nothing in hand.
    local holder = redis.call('GET', KEYS[9])
    local who = holder and string.sub(holder, 2)
    if who and who ~= ARGV[1] then
        local alive = redis.call('ZSCORE', KEYS[4], who)
        if not alive or tonumber(alive) < 0 then holder = false end
    end
    if holder == 'r' .. ARGV[1] or not holder or string.sub(holder, 1, 1) == 'w' then
        if ARGV[5] == '1' then
            redis.call('SET', KEYS[9], 'r' .. ARGV[1])
            local suspect = redis.call('LPOP', KEYS[8])
            number = tonumber(string.sub(suspect, 1, 1))
            bodies[1] = string.sub(suspect, 2)
            fields = {first .. 's' .. number, bodies[1]}
            state = 1
        elseif not holder or who == ARGV[1] then
            redis.call('SET', KEYS[9], 'w' .. ARGV[1])
            return {2, 0}
        end
    end
elseif redis.call('EXISTS', KEYS[9]) == 1 then
    local holder = redis.call('GET', KEYS[9])
    if string.sub(holder, 2) == ARGV[1] then redis.call('DEL', KEYS[9]) end
end
if state == 0 then
    local waiting = redis.call('LLEN', KEYS[1])
    local share = wanted
    if waiting > 0 then
        if wanted > 1 then
            -- Urgent first, but a tenth of each turn stays for the rest.
            share = wanted - math.max(1, math.floor(wanted / 10))
        elseif ARGV[6] == '1' then
            share = 0
        end
    end
    if share > 0 then bodies = redis.call('LPOP', KEYS[2], share) or {} end
    number = #bodies
    for i = 1, number do
        fields[2 * i - 1] = decimal(first + i - 1) .. 'u'
        fields[2 * i] = bodies[i]
    end
    if waiting > 0 and number < wanted then
        local rest = redis.call('LPOP', KEYS[1], wanted - number)
        for i = 1, #rest do
            local place = number + i
            bodies[place] = rest[i]
            fields[2 * place - 1] = decimal(first + place - 1)
            fields[2 * place] = rest[i]
        end
    end
    if #bodies > 0 then redis.call('HINCRBY', KEYS[6], 'taken', #bodies) end
end
if #bodies > 0 then
    redis.call('HSET', KEYS[3], unpack(fields))
    redis.call('HSET', KEYS[10], turn, first + #bodies)
    if rate > 0 then
        redis.call('HSET', KEYS[11], 'at', string.format('%.3f', now), 'tokens', string.format('%.6f', tokens - #bodies))
        redis.call('PEXPIRE', KEYS[11], math.ceil(tonumber(ARGV[8]) * 1000 / rate) + 1000)
    end
end
table.insert(bodies, 1, number)
table.insert(bodies, 1, state)
return bodies
