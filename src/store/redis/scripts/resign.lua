-- ARGV: marker, candidate, token or 0, owner or nothing, 1 to raise the fence where no lease is, or another's
-- without a tenure, notice...
local e = load(load_node(), 2)
local candidate, token, owner = ARGV[2], tonumber(ARGV[3]), ARGV[4]
if e.lease ~= candidate and not e.token and token > 0 and ARGV[5] == '1' then
  raise_fence(e, token + 1)
end
if not e.lease then
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
  notice(5, 6, e, 'resigned', text(e.token), candidate)
end
return {'ok', text(e.token or 0)}
