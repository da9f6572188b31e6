-- When two keys expire (of `b` only if it is given), in milliseconds since 1970; -1: never, -2: no such key. Redis 7.0 and
-- later, Valkey.
local function expiries(a, b)
  return redis.call('PEXPIRETIME', a), b and redis.call('PEXPIRETIME', b)
end
