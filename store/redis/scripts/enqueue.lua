#!lua
-- uses: base place puts
-- Enqueue: takes jobs, all or none.
-- Items: the puts; then for each job its id, its bytes, its lane, and what else there is to say: '' or one letter
-- for its due time (n: now, a: at, d: delayed by), 8 bytes for that, and the unique key.
-- Reply: {'ok', now, a letter for each job (3: ready, 1: scheduled, e: existing), {index, id, state ...} of those}
--     or {'conflict', index} or {'taken', index}.

local writes, misfit = takePuts()
if not writes then return {'conflict', misfit} end

-- Time does not go back from one enqueue to the next, unless the server's clock was set back by more than a minute.
local numbers = call('HMGET', NS .. 'numbers', 'next', 'last')
local first, last = tonumber(numbers[1] or 0), tonumber(numbers[2] or 0)
if last > now and last - now < 60000000 then
  now, nowText, nowBytes = last, format('%.0f', last), pack('>I8', last)
end

local n = (#items - at) / 4
local ids = {}
for i = 1, n do ids[i] = items[at + 4 * i - 3] end
local known = fetch('HMGET', NS .. 'places', ids)

local content = function(job) return sub(job, 5 + number('>I4', job)) end
local fresh, mine, keys = {}, {}, {} -- taken jobs; by id; holders of unique keys
local codes, existing = {}, {}

local function exists(i, id, state)
  codes[i] = 'e'
  existing[#existing + 1] = {i - 1, id, state}
end

-- holderOf returns who holds a unique key, and the holder's state.
local function holderOf(key)
  if keys[key] then return keys[key].id, keys[key].state end
  local id = call('HGET', NS .. 'unique', key)
  local place = id and call('HGET', NS .. 'places', id)
  if place then return id, sub(place, 1, 1) end
end

for i = 1, n do
  local id, job, text, more = take(), take(), take(), take()
  local old, own = known[i], mine[id]
  if own then
    if own.lane.text ~= text or content(own.job) ~= content(job) then return {'taken', i - 1} end
    exists(i, id, own.state)
  elseif old then
    if laneOf(old, flagsAt(old)).text ~= text or content(jobOf(id, old)) ~= content(job) then return {'taken', i - 1} end
    exists(i, id, sub(old, 1, 1))
  else
    local state, due, score, key = '3', nowBytes, nowText, ''
    if more ~= '' then
      local how, value = sub(more, 1, 1), number('>I8', more, 2)
      key = sub(more, 10)
      if how == 'd' then value = now + value end
      if how ~= 'n' and value > now then
        state, score = '1', format('%.0f', value)
        due = how == 'a' and sub(more, 2, 9) or pack('>I8', value)
      end
    end
    local holder, holderState
    if key ~= '' then holder, holderState = holderOf(key) end
    if holder then
      exists(i, holder, holderState)
    else
      local f = {id = id, job = job, lane = lane(text), state = state, due = due, score = score, keyed = key ~= ''}
      fresh[#fresh + 1], mine[id], codes[i] = f, f, state
      if f.keyed then keys[key] = f end
    end
  end
end

local k = #fresh
if k == 0 then
  put(writes)
  return {'ok', nowText, concat(codes), existing}
end
call('ZCARD', NS .. 'blocks')
local block = math.floor(first / 128)
call('STRLEN', NS .. 'order|' .. block)

local inPlace = 256 -- bytes of a job that stand in its place; more stand apart, so that they are not moved about
local none6, none16 = pack('>I6', 0), pack('>I4I4I4I4', 0, 0, 0, 0)
local jobs, order = {}, {}
for i = 1, k do
  local f, inline = fresh[i], ''
  order[i] = f.id
  if #f.job <= inPlace then
    inline = f.job
  else
    if not jobs[1] then call('HLEN', NS .. 'jobs') end
    push(jobs, f.id, f.job)
  end
  enter(f.id, f.state .. none6 .. char(f.keyed and KEYED or 0) .. f.due .. sub(none16, 1, 4) .. pack('>I6', first + i - 1) .. nowBytes ..
    sub(f.id, 9) .. string.reverse(sub(f.id, 9)) .. sub(none16, 1, 12) .. pack('>I2', #f.lane.text) .. f.lane.text .. pack('>I2', #inline) .. inline, f.lane, f.score)
end
flush()
each('HSET', NS .. 'jobs', jobs)
for key, f in pairs(keys) do call('HSET', NS .. 'unique', key, f.id) end
call('HSET', NS .. 'numbers', 'next', format('%.0f', first + k), 'last', nowText)
-- The ids of one block stand in one string, in the order of enqueueing.
local i = 1
while i <= k do
  local last = min(k, (block + 1) * 128 - first)
  if call('APPEND', NS .. 'order|' .. block, concat(order, '', i, last)) == 16 * (last - i + 1) then
    call('ZADD', NS .. 'blocks', block, block)
  end
  i, block = last + 1, block + 1
end
put(writes)
return {'ok', nowText, concat(codes), existing}
