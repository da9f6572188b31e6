-- Many leases. KEYS: node, then lease, tenure, fence of each. ARGV: marker, then candidate, owner, px of each.
-- The busiest script: what all leases have in common is asked once, and the lease itself, which stays what it is,
-- gets a new expiry only.
local node = load_node()
local now = now_ms()
local values = redis.call('MGET', unpack(KEYS, 2))
local changed = {}
local answers = {}
for i = 1, (#KEYS - 1) / 3 do
  local at = 3 * i - 1
  local again = changed[KEYS[at]] -- by an earlier look of this call
  local e = load(node, at, not again and {values[at - 1], values[at], values[at + 1]} or nil)
  local candidate, owner = ARGV[at], ARGV[at + 1]
  if not e.lease then
    answers[i] = node.amnesiac and {'amnesiac'} or {'missing', text(e.fence)}
  elseif e.lease ~= candidate then
    answers[i] = {'other', e.lease, text(e.token or 0)}
  elseif not e.token then
    answers[i] = {'bare', text(e.fence)}
  else
    if e.owner > owner then -- "clock.agent", both padded to one length
      owner = e.owner
    end
    local token = text(e.token)
    local ends = math.max(now + tonumber(ARGV[at + 2]), e.expires)
    local expires = text(ends)
    redis.call('PEXPIREAT', e.lease_key, expires)
    redis.call('SET', e.tenure_key, token .. ' ' .. owner .. ' ' .. candidate, 'PXAT', expires)
    redis.call('PEXPIREAT', e.fence_key, text(ends + WEEK))
    changed[e.lease_key] = true
    answers[i] = {'ok', token, owner, text(e.fence), text(e.expires)}
  end
end
return answers
