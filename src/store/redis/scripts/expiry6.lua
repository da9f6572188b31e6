-- When two keys expire (of `b` only if it is given), in milliseconds since 1970; -1: never, -2: no such key. Before 7.0
-- there are only remaining times, and the clock goes on while a script runs: all is read within one millisecond, or read
-- again.
local function expiries(a, b)
  for _ = 1, 100 do
    local before = now_ms()
    local x, y = redis.call('PTTL', a), b and redis.call('PTTL', b) or -2
    if now_ms() == before then
      return x < 0 and x or before + x, y < 0 and y or before + y
    end
  end
  return -3, -4 -- no two alike: nothing is committed
end
