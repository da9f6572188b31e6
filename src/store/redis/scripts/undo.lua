-- ARGV: marker, candidate, then token and owner of each claim that was tried
local e = load(load_node(), 2)
if e.lease == ARGV[2] then
  local ours = not e.token
  for i = 3, #ARGV, 2 do
    ours = ours or (e.token == tonumber(ARGV[i]) and e.owner == ARGV[i + 1])
  end
  if ours then
    redis.call('DEL', e.lease_key, e.tenure_key)
  end
end
return {'ok'}
