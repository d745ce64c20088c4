#!lua flags=no-writes
-- uses: base
-- Get: jobs by id, with their history.
-- Items: the ids.
-- Reply: id, job, place, id ... of those that exist.

local ids, reply = {}, {}
for i = at + 1, #items do ids[#ids + 1] = items[i] end
local places, jobs = fetch('HMGET', NS .. 'places', ids), fetch('HMGET', NS .. 'jobs', ids)
local k = 0
for i = 1, #ids do
  if places[i] then
    reply[k + 1], reply[k + 2], reply[k + 3] = ids[i], jobs[i], places[i]
    k = k + 3
  end
end
return reply
