-- Candidates that campaigned and lost: they are remembered for a minute. KEYS: the candidates of each one's election.
-- ARGV: each one's name and priority, as it is kept.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
for i, key in ipairs(KEYS) do
  redis.pcall('ZADD', key, text(now), ARGV[i])
  redis.pcall('ZREMRANGEBYSCORE', key, '-inf', text(now - 60000000))
  redis.pcall('ZREMRANGEBYRANK', key, '0', '-129')
  redis.pcall('PEXPIRE', key, '60000')
end
return 'ok'
