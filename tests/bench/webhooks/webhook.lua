-- Razorpay: wrk … -- SECRET SEED [RATE CONNECTIONS]
-- Every webhook is another one of about 1.5 KB, signed as Razorpay signs. With RATE, a connection thinks between two of them.
-- The load shares its cores with whoever is measured, so a webhook is one buffer in which a few places change, and of the
-- signature all that is the same for each is computed once.
local ffi = require("ffi")
ffi.cdef [[
    typedef struct { unsigned char state[128]; } hashing;
    int SHA256_Init(hashing *c);
    int SHA256_Update(hashing *c, const void *data, size_t len);
    int SHA256_Final(unsigned char *md, hashing *c);
]]
local crypto = ffi.load("libcrypto.so.3")
local inner, outer, running = ffi.new("hashing"), ffi.new("hashing"), ffi.new("hashing")
local digest = ffi.new("unsigned char[32]")
local at, rate, connections = 0, nil, nil
local buffer, size, body, body_size, signature, ids, time_at
local now = 0

local HEX = ffi.new("uint16_t[256]")
for byte = 0, 255 do
    local text = string.format("%02x", byte)
    HEX[byte] = text:byte(1) + text:byte(2) * 256
end

-- HMAC: the secret's two pads are hashed once.
local function key(secret)
    local inside, outside = ffi.new("unsigned char[64]"), ffi.new("unsigned char[64]")
    for place = 0, 63 do
        local byte = secret:byte(place + 1) or 0
        inside[place], outside[place] = bit.bxor(byte, 0x36), bit.bxor(byte, 0x5c)
    end
    crypto.SHA256_Init(inner)
    crypto.SHA256_Update(inner, inside, 64)
    crypto.SHA256_Init(outer)
    crypto.SHA256_Update(outer, outside, 64)
end

local NOTES = string.rep('"note":"a shopper bought a voucher and said nothing more about it",', 16)

function init(arguments)
    local secret, seed = arguments[1], arguments[2]
    rate, connections = tonumber(arguments[3]), tonumber(arguments[4]) or 64
    if rate == nil then delay = nil end
    math.randomseed(os.time())
    key(secret)

    local id = seed .. "x########"
    local content = '{"entity":"event","account_id":"acc_BFQ7uQEaa7j2z7","event":"payment.authorized","contains":["payment"],' ..
        '"payload":{"payment":{"entity":{"id":"pay_' .. id .. '","entity":"payment","amount":49900,"currency":"INR",' ..
        '"status":"authorized","order_id":"order_' .. id .. '","method":"upi","notes":{' .. NOTES ..
        '"end":""},"fee":null,"tax":null,"error_code":null}}},"created_at":' .. os.time() .. "}"
    local text = "POST /webhooks/razorpay HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\nX-Razorpay-Event-Id: evt" ..
        id .. "\r\nX-Razorpay-Signature: " .. string.rep("*", 64) .. "\r\nContent-Length: " .. #content .. "\r\n\r\n" .. content
    size, body_size = #text, #content
    buffer = ffi.new("unsigned char[?]", size + 1, text)
    body = buffer + size - body_size
    signature = ffi.cast("uint16_t *", buffer + text:find("*", 1, true) - 1)
    time_at = buffer + size - 11
    ids = {}
    local from = 1
    for place = 1, 3 do
        from = text:find("########", from, true)
        ids[place] = buffer + from - 1
        from = from + 8
    end
end

function request()
    at = at + 1
    local number = string.format("%08d", at)
    for place = 1, 3 do ffi.copy(ids[place], number, 8) end
    local time = os.time()
    if time ~= now then
        now = time
        ffi.copy(time_at, tostring(time), 10)
    end
    ffi.copy(running, inner, ffi.sizeof(running))
    crypto.SHA256_Update(running, body, body_size)
    crypto.SHA256_Final(digest, running)
    ffi.copy(running, outer, ffi.sizeof(running))
    crypto.SHA256_Update(running, digest, 32)
    crypto.SHA256_Final(digest, running)
    for place = 0, 31 do signature[place] = HEX[digest[place]] end
    return ffi.string(buffer, size)
end

-- Senders know nothing of each other. With a fixed pause those that were answered by one commit would ask again together, more
-- of them each time.
function delay()
    return math.floor(-math.log(1 - math.random()) * connections * 1000 / rate + 0.5)
end

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("FIGURES %d %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), bad, latency.max))
end
