-- ARGV: marker, candidate, token, owner
local e = load(load_node(), 2)
if e.lease ~= ARGV[2] or e.token ~= tonumber(ARGV[3]) or e.owner ~= ARGV[4] then
  return {'ok'}
end
local expires, length, old = string.match(e.tenure, '^[^\n]*\n(%-?%d+) (%d+)\n(.*)$')
redis.call('DEL', e.lease_key, e.tenure_key)
if expires then
  local lease, tenure = string.sub(old, 1, tonumber(length)), string.sub(old, tonumber(length) + 1)
  if expires == '-1' then
    redis.call('SET', e.lease_key, lease)
  elseif tonumber(expires) > now_ms() then
    redis.call('SET', e.lease_key, lease, 'PXAT', expires)
    if tenure ~= '' then
      redis.call('SET', e.tenure_key, tenure, 'PXAT', expires)
    end
  end
end
return {'ok'}
