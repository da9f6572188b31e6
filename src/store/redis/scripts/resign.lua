-- ARGV: marker, candidate, token or 0, owner or nothing, 1 to raise the fence where no lease is, notice...
local e = load(load_node(), 2)
local candidate, token, owner = ARGV[2], tonumber(ARGV[3]), ARGV[4]
if not e.lease then
  if token > 0 and ARGV[5] == '1' then
    raise_fence(e, token + 1)
  end
  return {'none'}
end
if e.lease ~= candidate or (token > 0 and e.token ~= token) or (owner ~= '' and e.owner ~= owner) then
  return {'no', e.lease, text(e.token or 0)}
end
if e.token then
  raise_fence(e, e.token + 1)
end
redis.call('DEL', e.lease_key, e.tenure_key)
if e.token then
  notice(6, 'resigned', text(e.token), candidate, '')
end
return {'ok', text(e.token or 0)}
