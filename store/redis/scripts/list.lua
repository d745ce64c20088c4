#!lua flags=no-writes
-- uses: base place held filter
-- List: a page of jobs that match, the newest first. Count uses it as well.
-- Items: the filter; before which turn ('' for the newest), the limit, how many to look at, what to return ('jobs'
-- or 'none'), how many bytes of that are enough.
-- Reply: {where to go on or '', how many, id, job, place, id ...}.

local before, limit, most, what, enough = tonumber(take()), tonumber(take()), tonumber(take()), take(), tonumber(take())
local reply, n, bytes, k = {'', 0}, 0, 0, 2
local function found(id, p)
  n = n + 1
  if what == 'none' then return true end
  local job = apartFrom({id}, {p})[1]
  local o = flagsAt(p)
  local _, t = laneOf(p, o)
  if #p >= t then -- without the records
    local r, g, s = number('>I4I4I4', p, t + 17)
    p = sub(p, 1, t + 28 + r + g + s)
  end
  reply[k + 1], reply[k + 2], reply[k + 3] = id, job, p
  k, bytes = k + 3, bytes + #job + #p
  return bytes < enough
end
reply[1] = scan(before, limit, most, found)
reply[2] = n
return reply
