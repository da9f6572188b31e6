-- A missing number is 0; a damaged one is above every token, so that nothing is granted past it.
local LIMIT = 9007199254740992

local function number(digits)
  return digits and (tonumber(digits) or LIMIT) or 0
end

-- The node as this election sees it: KEYS[1] is the node's facts, ARGV[1] the marker it must have.
local function load_node()
  local facts = redis.call('HMGET', KEYS[1], 'marker', 'floor')
  return {marker = facts[1], amnesiac = facts[1] ~= ARGV[1], floor = number(facts[2])}
end

-- The election whose lease, tenure and fence are KEYS[at], [at + 1], [at + 2]. T is what `token` and `owner` are
-- of: set only if the tenure names the lease's holder and both keys expire together. `values` are the three, if they
-- were read already.
local function load(node, at, values)
  local e = {lease_key = KEYS[at], tenure_key = KEYS[at + 1], fence_key = KEYS[at + 2]}
  values = values or redis.call('MGET', e.lease_key, e.tenure_key, e.fence_key)
  e.lease, e.tenure = values[1], values[2]
  e.fence_alone = number(values[3])
  e.fence = math.max(e.fence_alone, node.floor)
  if e.lease then
    local tenure_expires
    e.expires, tenure_expires = expiries(e.lease_key, e.tenure and e.tenure_key)
    if e.tenure and e.expires == tenure_expires then
      local token, owner, name = string.match(e.tenure, '^(%d+) (%d+%.%x+) ([^\n]*)')
      if name == e.lease and #owner == 33 and tonumber(token) < LIMIT then
        e.token, e.owner = tonumber(token), owner
      end
    end
  end
  return e
end

-- Lease and tenure, with one expiry, in milliseconds since 1970, which is returned. What is left of this name's own lease
-- is never shortened.
local function write(e, name, token, owner, at, replaced)
  if (e.lease == name or replaced) and e.lease and e.expires > at then
    at = e.expires
  end
  redis.call('SET', e.lease_key, name, 'PXAT', text(at))
  redis.call('SET', e.tenure_key, token .. ' ' .. owner .. ' ' .. name .. (replaced or ''), 'PXAT', text(at))
  return at
end

-- The fence stays for a week after the lease that it was raised or refreshed for: so it tells when that ended, too.
local WEEK = 604800000

local function raise_fence(e, token, ends)
  redis.call('SET', e.fence_key, text(math.max(e.fence, token)), 'PXAT', text((ends or now_ms()) + WEEK))
end
