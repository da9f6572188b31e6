-- ARGV: marker, candidate, token, owner, from or nothing, expected token or 0, expected owner or nothing, px,
-- notice...
local node = load_node()
local e = load(node, 2)
local candidate, token, owner = ARGV[2], ARGV[3], ARGV[4]
local from, expected_token, expected_owner = ARGV[5], tonumber(ARGV[6]), ARGV[7]
if node.amnesiac then
  return {'amnesiac'}
end
-- The holder is who has a tenure. A bare lease is a loser's for a moment, or a foreign agent's.
if (from ~= '' and (e.lease ~= from or not e.token)) or (expected_token > 0 and e.token ~= expected_token) or
    (expected_owner ~= '' and e.owner ~= expected_owner) then
  return {'no', e.lease or '', text(e.token or 0)}
end
if e.fence >= tonumber(token) then
  return {'low', text(e.fence)}
end
local replaced = '\n-'
if e.lease then
  -- A chain of handovers without an extension in between must not grow without end.
  local old = e.tenure or ''
  if #old > 2048 then
    old = string.match(old, '^[^\n]*')
  end
  replaced = '\n' .. text(e.expires) .. ' ' .. #e.lease .. '\n' .. e.lease .. old
end
local ago = ended_ago(e)
raise_fence(e, tonumber(token), write(e, candidate, token, owner, now_ms() + tonumber(ARGV[8]), replaced))
notice(5, 9, e, e.token and 'handed_over' or 'elected', token, candidate, ago)
return {'ok', e.lease or '', text(e.token or 0)}
