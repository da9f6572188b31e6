-- ARGV: marker, candidate, token, owner, expected token, expected owner, px, notice...
local node = load_node()
local e = load(node, 2)
local candidate, token, owner = ARGV[2], ARGV[3], ARGV[4]
if e.lease ~= candidate then
  return {'no'}
end
local expected = tonumber(ARGV[5])
if (e.token or 0) ~= expected or (e.token and e.owner ~= ARGV[6]) then
  return {'changed'}
end
if e.fence >= tonumber(token) then
  return {'low', text(e.fence)}
end
if node.amnesiac then
  return {'amnesiac'}
end
local ago = ended_ago(e)
raise_fence(e, tonumber(token), write(e, candidate, token, owner, ARGV[7]))
notice(8, e, 'elected', token, candidate, ago, ARGV[13])
return {'ok'}
