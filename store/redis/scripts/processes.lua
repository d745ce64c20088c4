#!lua flags=no-writes
-- uses: base
-- Processes: who is alive.
-- Reply: process, what it says of itself after 8 bytes of its last beat, the number of its claims, process ...

local reply = call('HGETALL', NS .. 'processes')
local list, k = {}, 0
for i = 1, #reply, 2 do
  if call('ZSCORE', NS .. 'leases', reply[i]) then
    local counts, n = call('HVALS', NS .. 'running|' .. reply[i]), 0
    for m = 1, #counts do n = n + counts[m] end
    list[k + 1], list[k + 2], list[k + 3] = reply[i], reply[i + 1], n
    k = k + 3
  end
end
return list
