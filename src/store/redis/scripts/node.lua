-- The node's facts. KEYS: node. The first argument says what to do:
--   read
--   mark, marker it must have (empty: none), marker, floor, ceiling, max_term
--   raise, marker it must have, ceiling, max_term
local FACTS = {'marker', 'floor', 'ceiling', 'max_term'}
local facts = redis.call('HMGET', KEYS[1], unpack(FACTS))
local answer = 'ok'

local function raise(i, value)
  if tonumber(value) > tonumber(facts[i] or '0') then
    facts[i] = value
    redis.call('HSET', KEYS[1], FACTS[i], value)
  end
end

if ARGV[1] == 'mark' then
  if (facts[1] or '') ~= ARGV[2] then
    answer = 'changed'
  else
    for i = 2, 4 do
      raise(i, ARGV[i + 2])
    end
    if facts[1] ~= ARGV[3] then
      facts[1] = ARGV[3]
      redis.call('HSET', KEYS[1], 'marker', ARGV[3])
    end
    redis.call('PERSIST', KEYS[1])
  end
elseif ARGV[1] == 'raise' then
  if facts[1] ~= ARGV[2] then
    return {'amnesiac'}
  end
  raise(3, ARGV[3])
  raise(4, ARGV[4])
end
local t = redis.call('TIME')
return {answer, facts[1] or '', facts[2] or '0', facts[3] or '0', facts[4] or '0',
        text(tonumber(t[1]) * 1000000 + tonumber(t[2]))}
