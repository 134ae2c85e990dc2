-- A circuit breaker shared by all replicas: reports outcomes, and says whether the way is open.
-- KEYS 1 circuit
-- ARGV 1 successes and 2 failures since the last call  3 failures that open it  4 share that opens it, in percent
--      5 window (ms)  6 open for (ms)  7 "1" to ask for the probe
-- Gives {state, milliseconds}: 0 closed, 1 open (until it may be probed), 2 this caller probes now.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local circuit = redis.call('HMGET', KEYS[1], 'ok', 'bad', 'began', 'opened', 'probe')
local ok, bad, began = tonumber(circuit[1] or 0), tonumber(circuit[2] or 0), tonumber(circuit[3] or now)
local opened, probe = tonumber(circuit[4] or 0), tonumber(circuit[5] or 0)
local window, rest = tonumber(ARGV[5]), tonumber(ARGV[6])
if now - began > window then ok, bad, began = 0, 0, now end
local new_ok, new_bad = tonumber(ARGV[1]), tonumber(ARGV[2])
if opened > 0 then
    -- Late outcomes of before it opened say nothing; those of a probe decide.
    if probe > 0 and (new_ok > 0 or new_bad > 0) then
        if new_bad > 0 then opened, probe = now, 0 else opened, probe, ok, bad, began = 0, 0, 0, 0, now end
    end
else
    ok, bad = ok + new_ok, bad + new_bad
    if bad >= tonumber(ARGV[3]) and bad * 100 >= (ok + bad) * tonumber(ARGV[4]) then opened, probe = now, 0 end
end
local state, wait = 0, 0
if opened > 0 then
    state, wait = 1, math.max(1, opened + rest - now)
    -- A probe that has not answered in time is given to somebody else.
    if now >= opened + rest and (probe == 0 or now - probe > rest) then
        if ARGV[7] == '1' then state, probe = 2, now end
        wait = 0
    elseif now >= opened + rest then
        wait = math.max(1, probe + rest - now)
    end
end
redis.call('HSET', KEYS[1], 'ok', ok, 'bad', bad, 'began', began, 'opened', opened, 'probe', probe)
redis.call('PEXPIRE', KEYS[1], math.max(window, rest) * 10)
return {state, wait}
