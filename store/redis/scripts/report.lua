#!lua flags=allow-oom
-- uses: base place settle
-- Report: notes what running attempts say before they end.
-- Items: for each report its id, its token, '1' if it has started, and the progress ('' for none, else 'p' and it).
-- Reply: what was refused: index, what is recorded, index ...

local refused = {}
local i = 0
while at < #items do
  local id, token, started, progress = take(), take(), take(), take()
  local p = call('HGET', NS .. 'places', id)
  if p and byte(p) == 52 and sub(p, 2, 23) == token then
    local _, t = laneOf(p, 48)
    local reason, old, result, attempts, records = tailOf(p, t)
    local flags = byte(p, 48)
    if started == '1' and band(flags, STARTED) == 0 then flags = flags + STARTED end
    if progress ~= '' then old = sub(progress, 2) end
    local new = sub(p, 1, 47) .. char(flags) .. sub(p, 49, t - 1)
    if #old + #reason + #result > 0 or attempts > 0 then
      new = new .. tail(attempts, records, zero8, zero8, reason, old, result)
    end
    call('HSET', NS .. 'places', id, new)
  else
    push(refused, i, p and recordOf(p, token) or 0)
  end
  i = i + 1
end
return refused
