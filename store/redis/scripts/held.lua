-- Held: what processes hold.

-- eachClaimed calls fn with id and place of the jobs that an exchange of a process has claimed and that are still held.
-- It returns their ids, and how many were claimed.
local function eachClaimed(process, exchange, fn)
  local text, ids, still = call('GET', NS .. 'claimed|' .. exchange) or '', {}, {}
  for i = 1, #text / 16 do ids[i] = sub(text, 16 * i - 15, 16 * i) end
  local list = fetch('HMGET', NS .. 'places', ids)
  local holder = exchange .. process
  for i = 1, #ids do
    if list[i] and byte(list[i]) == 52 and sub(list[i], 8, 39) == holder then
      still[#still + 1] = ids[i]
      fn(ids[i], list[i])
    end
  end
  return still, #ids
end

-- eachHeld calls fn with id and place of the jobs that a process holds.
local function eachHeld(process, fn)
  local exchanges = call('HKEYS', NS .. 'running|' .. process)
  for i = 1, #exchanges do eachClaimed(process, exchanges[i], fn) end
end
