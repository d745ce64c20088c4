#!lua flags=no-writes
-- uses: base place
-- Get: jobs by id, with their history.
-- Items: the ids.
-- Reply: id, job ('' if it stands in the place), place, id ... of those that exist.

local ids, reply = {}, {}
for i = at + 1, #items do ids[#ids + 1] = items[i] end
local list = fetch('HMGET', NS .. 'places', ids)
local jobs = apartFrom(ids, list)
local k = 0
for i = 1, #ids do
  if list[i] then
    reply[k + 1], reply[k + 2], reply[k + 3] = ids[i], jobs[i], list[i]
    k = k + 3
  end
end
return reply
