-- Many claims. KEYS: node, then lease, tenure, fence of each, then meta, candidates of each. ARGV: marker, then candidate,
-- token, owner, expected token, expected owner, px, notice (6) of each. What all have in common is asked once.
local node = load_node()
local now = now_ms()
local n = (#KEYS - 1) / 5
local values = redis.call('MGET', unpack(KEYS, 2, 3 * n + 1))
local changed = {}

local function claim(e, at, display)
  local candidate, token, owner = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if e.lease ~= candidate then
    return {'no'}
  end
  local expected = tonumber(ARGV[at + 3])
  if (e.token or 0) ~= expected or (e.token and e.owner ~= ARGV[at + 4]) then
    return {'changed'}
  end
  if e.fence >= tonumber(token) then
    return {'low', text(e.fence)}
  end
  if node.amnesiac then
    return {'amnesiac'}
  end
  local ago = ended_ago(e)
  raise_fence(e, tonumber(token), write(e, candidate, token, owner, now + tonumber(ARGV[at + 5])))
  notice(display, at + 6, e, 'elected', token, candidate, ago, ARGV[at + 11])
  changed[e.lease_key] = true
  return {'ok'}
end

local answers = {}
for i = 1, n do
  local at = 3 * i - 1
  local again = changed[KEYS[at]] -- by an earlier claim of this call
  local e = load(node, at, not again and {values[at - 1], values[at], values[at + 1]} or nil)
  answers[i] = claim(e, 12 * i - 10, 3 * n + 2 * i)
end
return answers
