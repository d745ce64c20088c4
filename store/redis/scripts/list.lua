#!lua flags=no-writes
-- uses: base place held filter
-- List: a page of jobs that match, the newest first. Count uses it as well.
-- Items: the filter; before which turn ('' for the newest), the limit, how many to look at, what to return ('jobs',
-- 'last' for jobs with the record of their newest attempt, or 'none'), how many bytes of that are enough.
-- Reply: {where to go on or '', how many, how many were looked at, id, job, place, id ...}.

local before, limit, most, what, enough = tonumber(take()), tonumber(take()), tonumber(take()), take(), tonumber(take())
local reply, n, bytes, k = {'', 0, 0}, 0, 0, 3

-- bare returns a record without its log: see appendTexts in codec.go.
local function bare(r)
  if #r <= 84 or byte(r, 85) < 128 then return r end
  local o = 85 + 4 + number('>I4', r, 85) % 1073741824 -- without the bits of a log and of a failure
  o = o + 4 + number('>I4', r, o)
  o = o + 4 + number('>I4', r, o)
  return pack('>I4', o - 5) .. sub(r, 5, o - 1)
end

-- short returns a place without its records, or with the newest alone.
local function short(p)
  local c, size = contentOf(p, flagsAt(p))
  local t = c + size
  if #p < t then return p end
  local r, g, s = number('>I4I4I4', p, t + 17)
  local texts = sub(p, t + 1, t + 28 + r + g + s)
  local last = what == 'last' and bare(lastOf(p)) or ''
  return sub(p, 1, t - 1) .. char(last == '' and 0 or 1) .. texts .. last
end

local function found(id, p)
  n = n + 1
  if what == 'none' then return true end
  local job = apartFrom({id}, {p})[1]
  p = short(p)
  reply[k + 1], reply[k + 2], reply[k + 3] = id, job, p
  k, bytes = k + 3, bytes + (job and #job or 0) + #p -- false: its bytes are lost
  return bytes < enough
end
reply[1] = scan(before, limit, most, found)
reply[2], reply[3] = n, examined
return reply
