-- ARGV: marker, candidate, token, owner, expiry in milliseconds since 1970
local e = load(load_node(), 2)
if e.lease == ARGV[2] and e.token == tonumber(ARGV[3]) and e.owner == ARGV[4] then
  if tonumber(ARGV[5]) > now_ms() then
    redis.call('PEXPIREAT', e.lease_key, ARGV[5])
    redis.call('PEXPIREAT', e.tenure_key, ARGV[5])
  else
    redis.call('DEL', e.lease_key, e.tenure_key)
  end
end
return {'ok'}
