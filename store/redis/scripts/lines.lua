#!lua flags=no-writes
-- uses: base
-- Lines: whether there are jobs in some states and queues at all, and the scheduled or ready ones, by the lines in which
-- they wait, if no others are wanted and they are few.
-- Items: the states; how many are too many; then queues, or none for all.
-- Reply: 1, turn and id, turn and id ... of all jobs that there are; or 0 alone if lines do not lead to them.

local states, most = take(), tonumber(take())
local fields, total, lined = {}, 0, true -- fields are state and queue

local function add(field, size)
  local state = sub(field, 1, 1)
  if not size or not find(states, state, 1, true) then return end
  fields[#fields + 1] = field
  total, lined = total + size, lined and (state == '1' or state == '3')
end

if at < #items then
  local named = {}
  for i = at + 1, #items do
    for state in string.gmatch(states, '.') do named[#named + 1] = state .. items[i] end
  end
  local sizes = fetch('HMGET', NS .. 'counts', named)
  for i = 1, #named do add(named[i], sizes[i]) end
else
  local all = call('HGETALL', NS .. 'counts')
  for i = 1, #all, 2 do add(all[i], all[i + 1]) end
end
if not lined or total > most then return {0} end

local reply, k = {1}, 1
local function line(key)
  local list = call('ZRANGE', NS .. key, 0, -1)
  for i = 1, #list do reply[k + i] = list[i] end
  k = k + #list
end
for i = 1, #fields do
  local name = sub(fields[i], 2)
  if byte(fields[i]) == 49 then
    line('scheduled|' .. name)
  else
    local lanes = call('ZRANGE', NS .. 'lanes|' .. name, 0, -1)
    for m = 1, #lanes do line('ready|' .. lanes[m]) end
  end
end
return reply
