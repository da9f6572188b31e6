-- ARGV: marker, candidate, token, owner, force, recovering marker seen (twice: not blank, blank; or empty), px
local node = load_node()
local e = load(node, 2)
local token, force = tonumber(ARGV[3]), ARGV[5] == '1'
if e.fence > token then
  return {'low', text(e.fence)}
end
if e.lease and not (force and e.token and e.token < token) then
  return {'other'}
end
local seen = force and ARGV[6] ~= '' and (node.marker == ARGV[6] or node.marker == ARGV[7])
if node.amnesiac and not seen then
  return {'amnesiac'}
end
write(e, ARGV[2], ARGV[3], ARGV[4], ARGV[8])
raise_fence(e, token)
return {'ok'}
