-- A candidate is alive (or, with stands 0, is none any more): tells who else is, by this server's clock.
-- KEYS: candidates. ARGV: name, priority, stands, how long a silent one counts, in microseconds
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local member = ARGV[1] .. '\t' .. ARGV[2] .. '\tb'
if ARGV[3] == '1' then
  redis.call('ZADD', KEYS[1], text(now), member)
  redis.call('PEXPIRE', KEYS[1], '60000')
else
  redis.call('ZREM', KEYS[1], member)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - 60000000))
local alive = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', text(now - tonumber(ARGV[4])), 'WITHSCORES', 'LIMIT', '0', '100')
for i = 2, #alive, 2 do
  alive[i] = text(math.max(now - tonumber(alive[i]), 0))
end
return alive
