-- Pushes a job unless its dedupe key was used within the window.
-- KEYS 1 list or delayed set  2 dedupe key   ARGV 1 body  2 window (ms)  3 due (ms), empty for now   Gives 1 or 0.
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then return 0 end
if ARGV[3] == '' then redis.call('RPUSH', KEYS[1], ARGV[1]) else redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
return 1
