-- Shoppers who click as fast as they are answered: wrk … -- OFFERS CLIENTS
-- OFFERS is a file with an offer's id a line, taken in turn; CLIENTS is how many addresses click, in turn.
local offers, clients = {}, 1
local at = 0

function init(arguments)
    for line in io.lines(arguments[1]) do offers[#offers + 1] = line end
    clients = tonumber(arguments[2])
    -- A run goes on about where the one before ended: else the first clients would click in each of them.
    at = os.time() * 65536
end

local AGENT = "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
local REST = "\r\nHost: shop.test\r\nUser-Agent: " .. AGENT .. "\r\nAccept: text/html\r\n\r\n"

function request()
    at = at + 1
    local client = at % clients
    return "GET /out/" .. offers[at % #offers + 1] .. " HTTP/1.1\r\nX-Forwarded-For: 10." ..
        math.floor(client / 65536) % 256 .. "." .. math.floor(client / 256) % 256 .. "." .. client % 256 .. REST
end

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("FIGURES %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), bad, latency.max,
        latency:percentile(95)))
end
