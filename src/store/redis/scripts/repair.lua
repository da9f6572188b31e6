-- ARGV: marker, candidate, token, owner, force, recovering marker seen (twice: not blank, blank; or empty), px
local node = load_node()
local e = load(node, 2)
local token, force = tonumber(ARGV[3]), ARGV[5] == '1'
local seen = force and ARGV[6] ~= '' and (node.marker == ARGV[6] or node.marker == ARGV[7])
-- What was copied to a recovering node says nothing against the tenure of the leader that counted the others.
if seen then
  e.fence = e.fence_alone
end
if e.fence > token then
  return {'low', text(e.fence)}
end
if e.lease and not (force and e.token and e.token < token) then
  return {'other'}
end
if node.amnesiac and not seen then
  return {'amnesiac'}
end
raise_fence(e, token, write(e, ARGV[2], ARGV[3], ARGV[4], now_ms() + tonumber(ARGV[8])))
return {'ok'}
