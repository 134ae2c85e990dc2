-- Razorpay: wrk … -- SECRET SEED [RATE CONNECTIONS]
-- Every webhook is another one of about 1.5 KB, signed as Razorpay signs. With RATE, a connection thinks between two of them.
local ffi = require("ffi")
ffi.cdef [[
    const void *EVP_sha256(void);
    unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *d, size_t n, unsigned char *out, unsigned int *len);
]]
local crypto = ffi.load("libcrypto.so.3")
local sha256, digest, length = crypto.EVP_sha256(), ffi.new("unsigned char[32]"), ffi.new("unsigned int[1]")
local secret, seed, rate, connections
local at = 0
local HEX = {}
for byte = 0, 255 do HEX[byte] = string.format("%02x", byte) end

function init(arguments)
    secret, seed = arguments[1], arguments[2]
    rate, connections = tonumber(arguments[3]), tonumber(arguments[4]) or 64
    if rate == nil then delay = nil end
end

local function sign(body)
    crypto.HMAC(sha256, secret, #secret, body, #body, digest, length)
    local hex = {}
    for place = 0, 31 do hex[place + 1] = HEX[digest[place]] end
    return table.concat(hex)
end

local NOTES = string.rep('"note":"a shopper bought a voucher and said nothing more about it",', 16)

function request()
    at = at + 1
    local id = seed .. "x" .. at
    local body = '{"entity":"event","account_id":"acc_BFQ7uQEaa7j2z7","event":"payment.authorized","contains":["payment"],' ..
        '"payload":{"payment":{"entity":{"id":"pay_' .. id .. '","entity":"payment","amount":49900,"currency":"INR",' ..
        '"status":"authorized","order_id":"order_' .. id .. '","method":"upi","notes":{' .. NOTES ..
        '"end":""},"fee":null,"tax":null,"error_code":null}}},"created_at":' .. os.time() .. "}"
    return "POST /webhooks/razorpay HTTP/1.1\r\nHost: shop.test\r\nContent-Type: application/json\r\nX-Razorpay-Event-Id: evt" ..
        id .. "\r\nX-Razorpay-Signature: " .. sign(body) .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function delay()
    local pause = connections * 1000 / rate
    local whole = math.floor(pause)
    if math.random() < pause - whole then whole = whole + 1 end
    return whole
end

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("FIGURES %d %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), bad, latency.max))
end
