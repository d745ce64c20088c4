-- Filter: which jobs match, and reading them from the newest to the oldest.
--
-- A list of names is '' for any, or like '|mail|reports|'; ids stand one after the other. What is inside failures, and
-- single values in arguments, is judged by the caller: failed is '1' if the newest attempt must have failed at all.

local f = {states = take(), queues = take(), without = take(), kinds = take(), tags = take(), process = take(), after = take(), before = take(),
  ended = take(), unended = take(), failed = take(), text = take(), ids = take()}
f.after, f.before, f.ended, f.unended = tonumber(f.after), tonumber(f.before), tonumber(f.ended), tonumber(f.unended)
local verdicts = {} -- of lanes
local slack = 60000000 -- how far times may be out of the order of turns, because a clock was set back
local examined = 0 -- jobs that scan has looked at

local function laneFits(text)
  local fits = verdicts[text]
  if fits == nil then
    local bar = find(text, '|', 3, true)
    fits = (f.queues == '' or find(f.queues, sub(text, 2, bar), 1, true) ~= nil) and
      (f.without == '' or not find(f.without, sub(text, 2, bar), 1, true)) and
      (f.kinds == '' or find(f.kinds, sub(text, bar) .. '|', 1, true) ~= nil)
    verdicts[text] = fits
  end
  return fits
end

-- holds looks at what stands in a job's own bytes.
local function holds(job)
  local o = 5 + number('>I4', job)
  o = o + 2 + number('>I2', job, o)
  local size = number('>I2', job, o)
  local tags = '\0' .. sub(job, o + 2, o + 1 + size)
  for tag in string.gmatch(f.tags, '[^|]+') do
    if not find(tags, '\0' .. tag .. '\0', 1, true) then return false end
  end
  return f.text == '' or find(job, f.text, o + 33 + size, true) ~= nil
end

-- jobFits does so for a job; one whose bytes are lost or damaged fits nothing.
local function jobFits(id, p)
  local job = jobOf(id, p)
  if not job then return false end
  local ok, fits = pcall(holds, job)
  return ok and fits
end

-- endFits looks at when the job has ended.
local function endFits(p)
  if byte(p) < 53 then return false end -- '5' to '8': it has
  local c, n = contentOf(p, 8)
  local at = number('>I8', p, c + n + 1)
  return not (f.ended and at < f.ended or f.unended and at >= f.unended)
end

-- lastOf returns the record of the newest attempt; '' if there is none.
local function lastOf(p)
  local c, n = contentOf(p, flagsAt(p))
  local _, _, _, attempts, records = tailOf(p, c + n)
  local o = 1
  for _ = 2, attempts do o = o + 4 + number('>I4', records, o) end
  return sub(records, o)
end

local function fits(id, p)
  if f.states ~= '' and not find(f.states, sub(p, 1, 1), 1, true) then return false end
  if f.process ~= '' and (byte(p) ~= 52 or sub(p, 24, 39) ~= f.process) then return false end
  local o = flagsAt(p)
  if f.queues ~= '' or f.without ~= '' or f.kinds ~= '' then
    local n = byte(p, o + 39) * 256 + byte(p, o + 40)
    if not laneFits(sub(p, o + 41, o + 40 + n)) then return false end
  end
  if f.after or f.before then
    local enqueued = number('>I8', p, o + 19)
    if f.after and enqueued < f.after or f.before and enqueued >= f.before then return false end
  end
  if (f.ended or f.unended) and not endFits(p) then return false end
  if f.failed ~= '' and #lastOf(p) <= 84 then return false end -- see recordOf: there is no failure in it, and no log
  return f.tags == '' and f.text == '' or jobFits(id, p)
end

local function turnOf(p)
  return number('>I6', p, flagsAt(p) + 13)
end

-- idsNamed returns the ids that the filter names, each once.
local function idsNamed()
  local ids, known = {}, {}
  for i = 1, #f.ids, 16 do
    local id = sub(f.ids, i, i + 15)
    if not known[id] then
      ids[#ids + 1], known[id] = id, true
    end
  end
  return ids
end

-- newest begins a page of jobs that are not read in their order. It returns a function that notes a job, and one that
-- is scan for those noted. Of many, most are not sorted: no more than the page and one are kept.
local function newest(before, limit, fn)
  local found, floor = {}, -1
  local function cut()
    table.sort(found, function(a, b) return a[3] > b[3] end)
    for i = #found, limit + 2, -1 do found[i] = nil end
  end
  local function note(id, p)
    local turn = turnOf(p)
    if turn <= floor or before and turn >= before or not fits(id, p) then return end
    found[#found + 1] = {id, p, turn}
    if #found > 2 * limit + 100 then
      cut()
      floor = found[limit + 1][3]
    end
  end
  local function page()
    cut()
    for i = 1, #found do
      if i > limit then return format('%.0f', found[i - 1][3]) end
      if fn(found[i][1], found[i][2]) == false then return i < #found and format('%.0f', found[i][3]) or '' end
    end
    return ''
  end
  return note, page
end

-- scanIDs is scan among the given ids.
local function scanIDs(ids, before, limit, fn)
  local note, page = newest(before, limit, fn)
  local list = fetch('HMGET', NS .. 'places', ids)
  examined = #ids
  for i = 1, #ids do
    if list[i] then note(ids[i], list[i]) end
  end
  return page()
end

-- scanHeld is scan among running jobs: those of the filter's process, or all.
local function scanHeld(before, limit, fn)
  local note, page = newest(before, limit, fn)
  local holders = f.process ~= '' and {f.process} or call('SMEMBERS', NS .. 'holders')
  for i = 1, #holders do eachHeld(holders[i], note) end
  return page()
end

-- blockPage returns ids and turns of a block of jobs before a turn, the newest first, and before which turn to go on;
-- nothing at the end.
local function blockPage(before)
  local block = call('ZREVRANGEBYSCORE', NS .. 'blocks', before and math.floor((before - 1) / 128) or '+inf', '-inf', 'LIMIT', 0, 1)[1]
  if not block then return nil end
  local order, first = call('GET', NS .. 'order|' .. block) or '', tonumber(block) * 128
  local ids, turns = {}, {}
  for i = math.floor(#order / 16), 1, -1 do
    if not before or first + i - 1 < before then
      push(ids, sub(order, 16 * i - 15, 16 * i))
      push(turns, first + i - 1)
    end
  end
  return ids, turns, first
end

-- deadPage is blockPage for dead jobs.
local function deadPage(before)
  local list = call('ZREVRANGEBYSCORE', NS .. 'dead', before and '(' .. format('%.0f', before) or '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, 500)
  if not list[1] then return nil end
  local ids, turns = {}, {}
  for i = 1, #list, 2 do
    push(ids, list[i])
    push(turns, tonumber(list[i + 1]))
  end
  return ids, turns, turns[#turns]
end

-- blockAt returns the number of the block at a place among the blocks, and when the first of its jobs that is left was
-- enqueued; no time if none is.
local function blockAt(rank)
  local block = call('ZRANGE', NS .. 'blocks', rank, rank)[1]
  local order = call('GET', NS .. 'order|' .. block) or ''
  for i = 1, #order, 16 do
    local p = call('HGET', NS .. 'places', sub(order, i, i + 15))
    if p then return tonumber(block), (number('>I8', p, flagsAt(p) + 19)) end
  end
  return tonumber(block), nil
end

-- turnAt returns a turn before which all jobs stand that were enqueued before a time; nil if that is not known.
local function turnAt(time)
  local low, high = 0, call('ZCARD', NS .. 'blocks') -- the first block that is too late is one of these, or between
  local turn
  while low < high do
    local middle = math.floor((low + high) / 2)
    local block, enqueued = blockAt(middle)
    if enqueued and enqueued >= time then
      high, turn = middle, block * 128
    else
      low = middle + 1
    end
  end
  return turn
end

-- scan calls fn for jobs that match, the newest first, until limit of them have matched, most have been looked at,
-- or fn returns false. It returns where to go on: the turn of the last job looked at; '' at the end. Without before
-- it begins with the newest.
local function scan(before, limit, most, fn)
  if f.ids ~= '' then return scanIDs(idsNamed(), before, limit, fn) end
  if f.process ~= '' or f.states == '4' then return scanHeld(before, limit, fn) end
  local latest = f.before and f.unended and min(f.before, f.unended) or f.before or f.unended
  if latest and not before then before = turnAt(latest + slack) end
  local page = f.states == '8' and deadPage or blockPage
  local found, last = 0, nil
  while true do
    local ids, turns, rest = page(before)
    if not ids then return '' end
    local list, early = fetch('HMGET', NS .. 'places', ids), f.after ~= nil
    for i = 1, #ids do
      if found == limit or examined == most then return format('%.0f', last) end
      examined, last = examined + 1, turns[i]
      local p = list[i]
      if p and turnOf(p) == last then
        early = early and number('>I8', p, flagsAt(p) + 19) < f.after - slack
        if fits(ids[i], p) then
          found = found + 1
          if fn(ids[i], p) == false then return format('%.0f', last) end
        end
      end
    end
    if early then return '' end -- and so are all that come
    before = rest
  end
end
