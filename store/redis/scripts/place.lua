-- Places: where jobs are, and how they move. See keys.go for the layout.
--
-- A script decides with the functions below and changes nothing by them: they note what is to be written. When all
-- is decided, flush writes it. Flush first reads each key that it is going to write, so that a key of another type
-- makes the script fail before anything is changed.

local CANCEL, STARTED, SUSPECT, KEYED = 1, 2, 4, 8
local zero8 = pack('>I8', 0)
local noTexts = pack('>I4I4I4', 0, 0, 0)
local emptyTail = zero8 .. zero8 .. noTexts -- what follows the number of attempts when there is nothing to say

local lanes, queues, held, places, expire, expiring, die, dieNot, drop, freed, cancel, cancelNot

-- forget begins with nothing noted.
local function forget()
  lanes, queues = {}, {} -- by lane, by queue
  held = {} -- by exchange and process: how many of its claims have ended
  places = {} -- id, place, id, place ...
  expire, expiring = {}, 0 -- ids by the time when they expire; how many more there are of them
  die, dieNot = {}, {}
  drop, freed, cancel, cancelNot = {}, {}, {}, {}
end
forget()

local function queue(name)
  local q = queues[name]
  if not q then
    q = {name = name, add = {}, gone = {}, counts = {}}
    queues[name] = q
  end
  return q
end

local function lane(text)
  local l = lanes[text]
  if not l then
    l = {text = text, key = NS .. 'ready|' .. text, queue = queue(sub(text, 3, find(text, '|', 3, true) - 1)), add = {}, gone = {}, taken = 0}
    lanes[text] = l
  end
  return l
end

local function push(list, a, b)
  local n = #list
  list[n + 1], list[n + 2] = a, b
end

local function count(q, state, d)
  q.counts[state] = (q.counts[state] or 0) + d
end

-- flagsAt returns where a place's flags are; what follows them is the same in all places.
local function flagsAt(p)
  return byte(p) == 52 and 48 or 8 -- '4': running
end

-- contentOf returns where the job's content stands in a place and how long it is: 0 if it stands apart, among the jobs.
local function contentOf(p, o)
  local a, b = byte(p, o + 39, o + 40)
  local c = o + 41 + a * 256 + b
  a, b = byte(p, c, c + 1)
  return c + 2, a * 256 + b
end

-- laneOf returns a place's lane, and where its tail begins.
local function laneOf(p, o)
  local a, b = byte(p, o + 39, o + 40)
  local c = o + 41 + a * 256 + b
  local text = sub(p, o + 41, c - 1)
  a, b = byte(p, c, c + 1)
  return lanes[text] or lane(text), c + 2 + a * 256 + b
end

-- jobOf returns a job's bytes; false if they are lost.
local function jobOf(id, p)
  local c, n = contentOf(p, flagsAt(p))
  return n > 0 and sub(p, c, c + n - 1) or call('HGET', NS .. 'jobs', id)
end

-- apartFrom returns the bytes of those jobs that do not stand in their places; '' for the others.
local function apartFrom(ids, list)
  local apart, large, which = {}, {}, {}
  for i = 1, #ids do
    local p = list[i]
    apart[i] = ''
    if p then
      local _, n = contentOf(p, flagsAt(p))
      if n == 0 then push(large, ids[i]) push(which, i) end
    end
  end
  local jobs = fetch('HMGET', NS .. 'jobs', large)
  for k = 1, #large do apart[which[k]] = jobs[k] end
  return apart
end

-- tailOf returns what a place's tail says: reason, progress, result, the number of attempts, and their records.
local function tailOf(p, t)
  if #p < t then return '', '', '', 0, '' end
  local r, g, s = number('>I4I4I4', p, t + 17)
  local text = t + 29
  return sub(p, text, text + r - 1), sub(p, text + r, text + r + g - 1), sub(p, text + r + g, text + r + g + s - 1),
    byte(p, t), sub(p, text + r + g + s)
end

local function tail(attempts, records, finished, expires, reason, progress, result)
  return char(attempts) .. finished .. expires .. pack('>I4I4I4', #reason, #progress, #result) .. reason .. progress .. result .. records
end

-- enter notes a job's new place, which is not running. score is its due time as text, or when it expires if it
-- has ended ('' for never).
local function enter(id, p, l, score)
  push(places, id, p)
  local state = sub(p, 1, 1)
  count(l.queue, state, 1)
  if state == '3' then
    push(l.add, score, sub(p, 21, 26) .. id)
  elseif state == '1' then
    push(l.queue.add, score, sub(p, 21, 26) .. id)
  elseif state ~= '2' then
    if score ~= '' then
      local ids = expire[score]
      if not ids then
        ids = {}
        expire[score] = ids
      end
      ids[#ids + 1] = id
      expiring = expiring + 1
    end
    if state == '8' then push(die, format('%.0f', number('>I6', p, 21)), id) end
  end
end

local function dueText(p, o)
  return format('%.0f', (number('>I8', p, o + 1)))
end

-- expiryOf returns when a finished job expires, as 8 bytes.
local function expiryOf(p)
  local _, t = laneOf(p, 8)
  return sub(p, t + 9, t + 16)
end

-- stop notes that a job is no longer running.
local function stop(id, p, l)
  local holder = sub(p, 8, 39)
  held[holder] = (held[holder] or 0) + 1
  count(l.queue, '4', -1)
  if band(byte(p, 48), CANCEL) ~= 0 then push(cancelNot, sub(p, 24, 39), id) end
end

-- leave notes that a job is no longer where its place p says, which is not running. It does not touch the unique key.
local function leave(id, p, l)
  local state = sub(p, 1, 1)
  count(l.queue, state, -1)
  if state == '3' then
    l.gone[#l.gone + 1] = sub(p, 21, 26) .. id
  elseif state == '1' then
    l.queue.gone[#l.queue.gone + 1] = sub(p, 21, 26) .. id
  elseif state ~= '2' then
    if expiryOf(p) ~= zero8 then expiring = expiring - 1 end
    if state == '8' then dieNot[#dieNot + 1] = id end
  end
end

-- keyOf returns the unique key of a job; '' if its bytes are lost or damaged.
local function keyOf(id, p)
  local job = jobOf(id, p)
  local ok, key = pcall(function()
    local o = 5 + number('>I4', job)
    return sub(job, o + 2, o + 1 + number('>I2', job, o))
  end)
  return ok and key or ''
end

-- holderOf returns the job that holds a unique key, and its state. Only a live one does: one whose bytes were lost could not
-- tell which key to free when it died.
local function holderOf(key)
  local id = call('HGET', NS .. 'unique', key)
  local p = id and call('HGET', NS .. 'places', id)
  if p and byte(p) <= 52 then return id, sub(p, 1, 1) end
end

-- free notes that a job's unique key is free, if the job holds it.
local function free(id, p, o)
  if band(byte(p, o), KEYED) == 0 then return end
  local key = keyOf(id, p)
  if call('HGET', NS .. 'unique', key) == id then freed[#freed + 1] = key end
end

-- remove notes that a job that is not running vanishes with all that belongs to it.
local function remove(id, p)
  local l = laneOf(p, 8)
  leave(id, p, l)
  free(id, p, 8)
  push(drop, id, math.floor(number('>I6', p, 21) / 128))
end

-- ended makes the place of a job that ends now, without having been running, and notes it.
local function ended(id, p, state, keep, reason)
  local l, t = laneOf(p, 8)
  local _, progress, result, attempts, records = tailOf(p, t)
  leave(id, p, l)
  free(id, p, 8)
  local expires, score = zero8, ''
  if keep >= 0 then
    expires, score = pack('>I8', now + keep), format('%.0f', now + keep)
  end
  local flags = char(band(byte(p, 8), SUSPECT + KEYED))
  enter(id, state .. sub(p, 2, 7) .. flags .. sub(p, 9, t - 1) .. tail(attempts, records, nowBytes, expires, reason, progress, result), l, score)
end

local function length(command, key, list)
  if next(list) then call(command, NS .. key) end
end

-- look reads what flush is going to write, but for the places, which every script has read by then, and remembers
-- which lanes are empty.
local function look()
  length('HLEN', 'unique', freed)
  length('ZCARD', 'expiring', expire)
  if expiring ~= 0 then call('HLEN', NS .. 'numbers') end
  length('ZCARD', 'dead', die)
  length('HLEN', 'counts', queues)
  if next(drop) then
    call('HLEN', NS .. 'jobs')
    call('HLEN', NS .. 'holes')
    call('ZCARD', NS .. 'blocks')
  end
  for _, l in pairs(lanes) do
    if l.add[1] or l.gone[1] or l.taken > 0 then
      l.size = call('ZCARD', l.key)
      call('ZCARD', NS .. 'lanes|' .. l.queue.name)
    end
  end
  for name, q in pairs(queues) do
    if q.add[1] or q.gone[1] then
      call('ZCARD', NS .. 'scheduled|' .. name)
      call('ZCARD', NS .. 'due')
    end
  end
  length('SCARD', 'holders', held)
  for holder in pairs(held) do call('HLEN', NS .. 'running|' .. sub(holder, 17)) end
  for i = 1, #cancel, 2 do call('SCARD', NS .. 'cancels|' .. cancel[i]) end
end

local function flushLane(l, woken)
  each('ZADD', l.key, l.add)
  each('ZREM', l.key, l.gone)
  if l.taken > 0 then call('ZREMRANGEBYRANK', l.key, 0, l.taken - 1) end
  local size = l.size + #l.add / 2 - #l.gone - l.taken
  if l.size == 0 and size > 0 then
    call('ZADD', NS .. 'lanes|' .. l.queue.name, 0, l.text)
    woken[l.queue.name] = true
  elseif l.size > 0 and size <= 0 then
    call('ZREM', NS .. 'lanes|' .. l.queue.name, l.text)
  end
end

local function flushQueue(name, q)
  if q.add[1] or q.gone[1] then
    local key = NS .. 'scheduled|' .. name
    each('ZADD', key, q.add)
    each('ZREM', key, q.gone)
    local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if head[1] then
      call('ZADD', NS .. 'due', head[2], name)
    else
      call('ZREM', NS .. 'due', name)
    end
  end
  for state, d in pairs(q.counts) do
    if d ~= 0 and call('HINCRBY', NS .. 'counts', state .. name, d) == 0 then call('HDEL', NS .. 'counts', state .. name) end
  end
end

local function flushHeld(holder, n)
  local exchange, process = sub(holder, 1, 16), sub(holder, 17)
  local running = NS .. 'running|' .. process
  if call('HINCRBY', running, exchange, -n) > 0 then return end
  call('HDEL', running, exchange)
  call('UNLINK', NS .. 'claimed|' .. exchange)
  if call('EXISTS', running) == 0 then call('SREM', NS .. 'holders', process) end
end

-- group calls a command for lists of ids, at most 128 in one text.
local function group(key, score, ids)
  for i = 1, #ids, 128 do call('ZADD', key, score, concat(ids, '', i, min(i + 127, #ids))) end
end

local function flushDrop()
  local ids, holes = {}, {}
  for i = 1, #drop, 2 do
    ids[#ids + 1] = drop[i]
    holes[drop[i + 1]] = (holes[drop[i + 1]] or 0) + 1
  end
  each('HDEL', NS .. 'jobs', ids)
  each('HDEL', NS .. 'places', ids)
  for block, n in pairs(holes) do
    if call('HINCRBY', NS .. 'holes', block, n) == 128 then
      call('HDEL', NS .. 'holes', block)
      call('ZREM', NS .. 'blocks', block)
      call('UNLINK', NS .. 'order|' .. block)
    end
  end
end

-- flush writes what was noted. A job is noted once only.
local function flush()
  look()
  each('HSET', NS .. 'places', places)
  local woken = {}
  for _, l in pairs(lanes) do
    if l.size then flushLane(l, woken) end
  end
  each('ZREM', NS .. 'dead', dieNot)
  for score, ids in pairs(expire) do group(NS .. 'expiring', score, ids) end
  if expiring ~= 0 then call('HINCRBY', NS .. 'numbers', 'expiring', expiring) end
  each('ZADD', NS .. 'dead', die)
  each('HDEL', NS .. 'unique', freed)
  for i = 1, #cancelNot, 2 do call('SREM', NS .. 'cancels|' .. cancelNot[i], cancelNot[i + 1]) end
  for i = 1, #cancel, 2 do call('SADD', NS .. 'cancels|' .. cancel[i], cancel[i + 1]) end
  for holder, n in pairs(held) do flushHeld(holder, n) end
  for name, q in pairs(queues) do flushQueue(name, q) end
  if drop[1] then flushDrop() end
  for name in pairs(woken) do call('SPUBLISH', NS .. 'wake', name) end
  forget()
end
