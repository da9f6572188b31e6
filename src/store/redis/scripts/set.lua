-- SET NX GET for servers before 7.0. KEYS: lease, tenure, fence. ARGV: candidate, px.
local values = redis.call('MGET', KEYS[1], KEYS[3], KEYS[2])
if not values[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return values
