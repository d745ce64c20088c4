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

local reverse = string.reverse
local content = function(job) return sub(job, 5 + number('>I4', job)) end
local k, fresh, jobs, where = 0, {}, {}, {} -- taken jobs: ids, bytes, lanes
local later, keyed = {}, {} -- due time as bytes and text of those that are scheduled; unique keys: by place among the taken
local mine, keys = {}, {} -- place among the taken by id and by unique key
local codes, existing = {}, {}

local function exists(i, id, state)
  codes[i] = 'e'
  existing[#existing + 1] = {i - 1, id, state}
end

-- holderOf returns who holds a unique key, and the holder's state.
local function holderOf(key)
  local m = keys[key]
  if m then return fresh[m], later[m] and '1' or '3' end
  local id = call('HGET', NS .. 'unique', key)
  local place = id and call('HGET', NS .. 'places', id)
  if place then return id, sub(place, 1, 1) end
end

for i = 1, n do
  local id, job, text, more = take(), take(), take(), take()
  local old, own = known[i], mine[id]
  if own then
    if where[own].text ~= text or content(jobs[own]) ~= content(job) then return {'taken', i - 1} end
    exists(i, id, later[own] and '1' or '3')
  elseif old then
    if laneOf(old, flagsAt(old)).text ~= text or content(jobOf(id, old)) ~= content(job) then return {'taken', i - 1} end
    exists(i, id, sub(old, 1, 1))
  else
    local scheduled, key = nil, ''
    if more ~= '' then
      local how, value = sub(more, 1, 1), number('>I8', more, 2)
      key = sub(more, 10)
      if how == 'd' then value = now + value end
      if how ~= 'n' and value > now then
        scheduled = {how == 'a' and sub(more, 2, 9) or pack('>I8', value), format('%.0f', value)}
      end
    end
    local holder, state
    if key ~= '' then holder, state = holderOf(key) end
    if holder then
      exists(i, holder, state)
    else
      k = k + 1
      fresh[k], jobs[k], where[k], later[k], mine[id] = id, job, lanes[text] or lane(text), scheduled, k
      codes[i] = scheduled and '1' or '3'
      if key ~= '' then keyed[k], keys[key] = true, k end
    end
  end
end

if k == 0 then
  put(writes)
  return {'ok', nowText, concat(codes), existing}
end
call('ZCARD', NS .. 'blocks')
local block = math.floor(first / 128)
for b = block, math.floor((first + k - 1) / 128) do call('STRLEN', NS .. 'order|' .. b) end

local inPlace = 256 -- bytes of a job that stand in its place; more stand apart, so that they are not moved about
local zero6, zero4 = pack('>I6', 0), pack('>I4', 0)
local plain, apart = zero6 .. '\0' .. nowBytes .. zero4, {}
local ends = {} -- by lane: counters and lane
for i = 1, k do
  local id, l, inline, due = fresh[i], where[i], jobs[i], later[i]
  if #inline > inPlace then
    if not apart[1] then call('HLEN', NS .. 'jobs') end
    push(apart, id, inline)
    inline = ''
  end
  local last = ends[l]
  if not last then
    last = zero8 .. zero4 .. pack('>I2', #l.text) .. l.text
    ends[l] = last
  end
  local turn, salt = pack('>I6', first + i - 1), sub(id, 9)
  local head = plain
  if due or keyed[i] then
    head = zero6 .. char(keyed[i] and KEYED or 0) .. (due and due[1] or nowBytes) .. zero4
  end
  enter(id, (due and '1' or '3') .. head .. turn .. nowBytes .. salt .. reverse(salt) .. last .. pack('>I2', #inline) .. inline, l, due and due[2] or nowText)
end
flush()
each('HSET', NS .. 'jobs', apart)
for key, m in pairs(keys) do call('HSET', NS .. 'unique', key, fresh[m]) end
call('HSET', NS .. 'numbers', 'next', format('%.0f', first + k), 'last', nowText)
-- The ids of one block stand in one string, in the order of enqueueing.
local i = 1
while i <= k do
  local last = min(k, (block + 1) * 128 - first)
  if call('APPEND', NS .. 'order|' .. block, concat(fresh, '', i, last)) == 16 * (last - i + 1) then
    call('ZADD', NS .. 'blocks', block, block)
  end
  i, block = last + 1, block + 1
end
put(writes)
return {'ok', nowText, concat(codes), existing}
