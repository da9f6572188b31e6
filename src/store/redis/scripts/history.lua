-- What an election remembers, for display, and for those who listen: in its meta and its candidates. Never decides, and
-- never fails what was decided.
--
-- meta holds term, elected_at and priority of the last tenure that began; n, how many events there were; and the last
-- hundred of them, the i-th as e[i % 100]: "wall\taction\ttoken\tleader\tprevious".
local EVENTS = 100

-- How many milliseconds ago the last lease ended: asked before the fence is raised for the next one.
local function ended_ago(e)
  local left = e.fence_alone > 0 and redis.call('PTTL', e.fence_key) or -1
  return left < 0 and 0 or math.max(WEEK - left, 0)
end

-- A leader joins the candidates, as it was seen last.
local function seen(e, name, priority, ago)
  redis.pcall('ZADD', e.candidates_key, 'GT', text((now_ms() - math.max(ago, 0)) * 1000), name .. '\t' .. priority)
  redis.pcall('PEXPIRE', e.candidates_key, '60000')
end

-- What a candidate said when it campaigned within the last minute.
local function priority_of(e, name)
  local since = text((now_ms() - 60000) * 1000)
  local members = redis.pcall('ZREVRANGEBYSCORE', e.candidates_key, '+inf', since, 'LIMIT', '0', '128')
  for _, member in ipairs(members) do
    if string.sub(member, 1, #name + 1) == name .. '\t' then
      return string.match(member, '^%-?%d+', #name + 2) or '1'
    end
  end
  return '1'
end

-- KEYS from `display` on: meta, candidates. ARGV from `at` on: channel, kind, election, microseconds since 1970, term,
-- priority. `e` is as it was loaded. Where a tenure begins: `ago` as ended_ago() told it, and the priority of a candidate
-- that campaigned, else none.
local function notice(display, at, e, action, token, leader, ago, priority)
  e.meta_key, e.candidates_key = KEYS[display], KEYS[display + 1]
  local channel, kind, election, wall, term = unpack(ARGV, at, at + 4)
  local n = redis.pcall('HGET', e.meta_key, 'n')
  if type(n) == 'table' then -- an error: it is no hash
    return
  end
  n = tonumber(n) or 0
  local last = n > 0 and redis.pcall('HMGET', e.meta_key, 'e' .. (n - 1) % EVENTS, 'term', 'priority') or {}
  local was, was_token, was_leader = string.match(last[1] or '', '^%d+\t([a-z_]+)\t(%d+)\t([^\t]+)')
  local last_term, last_priority = tonumber(last[2]) or 0, last[3] or '1'
  local fields = {}
  local function keep(...)
    fields[#fields + 1] = 'e' .. n % EVENTS
    fields[#fields + 1] = table.concat({...}, '\t')
    n = n + 1
  end

  if e.token then
    if was_token == text(e.token) then -- else it came by a repair, and the other nodes know its term and priority
      seen(e, e.lease, last_priority, last_term - (e.expires - now_ms()))
    end
    if action == 'elected' then -- what it has given up is never led again
      keep(wall, 'resigned', text(e.token), e.lease, '')
    end
  elseif was == 'elected' or was == 'handed_over' then -- nobody has told how it ended
    seen(e, was_leader, last_priority, ago + last_term)
    keep(text(tonumber(wall) - ago * 1000), 'expired', was_token, was_leader, '')
  end
  local previous = action == 'handed_over' and e.lease or action == 'elected' and was_leader or ''
  keep(wall, action, token, leader, previous)
  if action ~= 'resigned' then
    priority = priority or (e.token and e.lease == leader and last_priority) or priority_of(e, leader)
    for _, word in ipairs({'elected_at', wall, 'term', term, 'priority', priority}) do
      fields[#fields + 1] = word
    end
  end
  redis.pcall('HSET', e.meta_key, 'n', text(n), unpack(fields))
  redis.pcall('PEXPIRE', e.meta_key, text(WEEK + (tonumber(term) or 0)))
  redis.pcall('PUBLISH', channel, table.concat({action, token, wall, kind, election, leader, previous, term}, '\t'))
end
