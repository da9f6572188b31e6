-- Many leases. KEYS: node, then lease, tenure, fence of each. ARGV: marker, then candidate, owner, px of each.
local node = load_node()
local answers = {}
for i = 1, (#KEYS - 1) / 3 do
  local e = load(node, 3 * i - 1)
  local candidate, owner, px = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if not e.lease then
    answers[i] = node.amnesiac and {'amnesiac'} or {'missing', text(e.fence)}
  elseif e.lease ~= candidate then
    answers[i] = {'other', e.lease, text(e.token or 0)}
  elseif not e.token then
    answers[i] = {'bare', text(e.fence)}
  else
    if later(e.owner, owner) then
      owner = e.owner
    end
    local token = text(e.token)
    write(e, candidate, token, owner, px)
    redis.call('PEXPIRE', e.fence_key, WEEK)
    answers[i] = {'ok', token, owner, text(e.fence), text(e.expires)}
  end
end
return answers
