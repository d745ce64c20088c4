-- Filter: which jobs match, and reading them from the newest to the oldest.
--
-- A list of names is '' for any, or like '|mail|reports|'; ids stand one after the other.

local f = {states = take(), queues = take(), kinds = take(), tags = take(), process = take(), after = take(), before = take(), text = take(), ids = take()}
f.after, f.before = tonumber(f.after), tonumber(f.before)
local verdicts = {} -- of lanes

local function laneFits(text)
  local fits = verdicts[text]
  if fits == nil then
    local bar = find(text, '|', 3, true)
    fits = (f.queues == '' or find(f.queues, sub(text, 2, bar), 1, true) ~= nil) and
      (f.kinds == '' or find(f.kinds, sub(text, bar) .. '|', 1, true) ~= nil)
    verdicts[text] = fits
  end
  return fits
end

-- jobFits looks at what stands in the job's own bytes.
local function jobFits(id, p)
  local job = jobOf(id, p)
  if not job then return false end
  local o = 5 + number('>I4', job)
  o = o + 2 + number('>I2', job, o)
  local size = number('>I2', job, o)
  local tags = '\0' .. sub(job, o + 2, o + 1 + size)
  for tag in string.gmatch(f.tags, '[^|]+') do
    if not find(tags, '\0' .. tag .. '\0', 1, true) then return false end
  end
  return f.text == '' or find(job, f.text, o + 33 + size, true) ~= nil
end

local function fits(id, p)
  if f.states ~= '' and not find(f.states, sub(p, 1, 1), 1, true) then return false end
  if f.process ~= '' and (byte(p) ~= 52 or sub(p, 24, 39) ~= f.process) then return false end
  local o = flagsAt(p)
  if f.queues ~= '' or f.kinds ~= '' then
    local n = byte(p, o + 39) * 256 + byte(p, o + 40)
    if not laneFits(sub(p, o + 41, o + 40 + n)) then return false end
  end
  if f.after or f.before then
    local enqueued = number('>I8', p, o + 19)
    if f.after and enqueued < f.after or f.before and enqueued >= f.before then return false end
  end
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

-- scan calls fn for jobs that match, the newest first, until limit of them have matched, most have been looked at,
-- or fn returns false. It returns where to go on: the turn of the last job looked at; '' at the end. Without before
-- it begins with the newest.
local function scan(before, limit, most, fn)
  if f.ids ~= '' then return scanIDs(idsNamed(), before, limit, fn) end
  if f.process ~= '' or f.states == '4' then return scanHeld(before, limit, fn) end
  local page = f.states == '8' and deadPage or blockPage
  local found, looked, last = 0, 0, nil
  while true do
    local ids, turns, rest = page(before)
    if not ids then return '' end
    local list = fetch('HMGET', NS .. 'places', ids)
    for i = 1, #ids do
      if found == limit or looked == most then return format('%.0f', last) end
      looked, last = looked + 1, turns[i]
      local p = list[i]
      if p and turnOf(p) == last and fits(ids[i], p) then
        found = found + 1
        if fn(ids[i], p) == false then return format('%.0f', last) end
      end
    end
    before = rest
  end
end
