-- Exactly: lease, T's token, what is left. KEYS: node, lease, tenure, fence. ARGV: marker
local e = load(load_node(), 2)
if not e.lease then
  return {'none'}
end
return {'name', e.lease, text(e.token or 0), text(e.expires < 0 and -1 or math.max(e.expires - now_ms(), 0))}
