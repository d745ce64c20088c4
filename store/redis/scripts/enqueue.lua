#!lua
-- uses: base place puts
-- Enqueue: takes jobs, all or none.
-- Items: the puts; the number of jobs and their ids; then for each run of jobs that are alike how many there are, their
-- lane, what else there is to say, and '1' if their bytes stand apart; and for each of its jobs the end of its place,
-- from the counters on, and its bytes if they stand apart. What else there is to say is '' or one letter for the due
-- time (n: now, a: at, d: delayed by), 8 bytes for that, and the unique key.
-- Reply: {'ok', now, a letter for each run (3: ready, 1: scheduled), {index, id, state ...} of jobs that were there}
--     or {'conflict', index} or {'taken', index}.

local writes, misfit = takePuts()
if not writes then return {'conflict', misfit} end

-- Time does not go back from one enqueue to the next, unless the server's clock was set back by more than a minute.
local numbers = call('HMGET', NS .. 'numbers', 'next', 'last')
local first, last = tonumber(numbers[1] or 0), tonumber(numbers[2] or 0)
if last > now and last - now < 60000000 then
  now, nowText, nowBytes = last, format('%.0f', last), pack('>I8', last)
end

local ids = {}
for i = 1, tonumber(take()) do ids[i] = take() end
local known = fetch('HMGET', NS .. 'places', ids)

local k, fresh, mine, apart, keys = 0, {}, {}, {}, {} -- taken jobs: ids; places and bytes that stand apart by id; ids by unique key
local states, existing = {}, {}
local zero6, zero4 = pack('>I6', 0), pack('>I4', 0)

-- same reports whether a job that is there, at place p, is the one that was sent. Of one whose bytes are lost nobody knows.
local function same(id, p, l, rest, bytes)
  local content = function(job) return job and #job > 3 and sub(job, 5 + number('>I4', job)) end
  local old, o = laneOf(p, flagsAt(p))
  return old == l and content(apart[id] or jobOf(id, p)) == content(bytes or sub(rest, 17 + #l.text))
end

local i = 0
while at < #items do
  local size, text, more, big = tonumber(take()), take(), take(), take() ~= ''
  local l = lanes[text] or lane(text)
  local state, due, score, key = '3', nowBytes, nowText, ''
  if more ~= '' then
    local how, value = sub(more, 1, 1), number('>I8', more, 2)
    key = sub(more, 10)
    if how == 'd' then value = now + value end
    if how ~= 'n' and value > now then
      state, due, score = '1', how == 'a' and sub(more, 2, 9) or pack('>I8', value), format('%.0f', value)
    end
  end
  local head = state .. zero6 .. char(key ~= '' and KEYED or 0) .. due .. zero4
  local add, before = state == '3' and l.add or l.queue.add, k
  local m = #add
  for _ = 1, size do
    i, at = i + 1, at + 1
    local id, rest, bytes = ids[i], items[at], nil
    if big then bytes = take() end
    local old, holder, held = known[i] or mine[id], nil, nil
    if old then
      if not same(id, old, l, rest, bytes) then return {'taken', i - 1} end
      holder, held = id, sub(old, 1, 1)
    elseif key ~= '' then
      holder = keys[key]
      if holder then
        held = sub(mine[holder], 1, 1)
      else
        holder, held = holderOf(key)
      end
    end
    if holder then
      existing[#existing + 1] = {i - 1, holder, held}
    else
      local turn = pack('>I6', first + k)
      local p = head .. turn .. nowBytes .. rest
      k = k + 1
      fresh[k], mine[id], apart[id] = id, p, bytes
      places[2 * k - 1], places[2 * k] = id, p
      add[m + 1], add[m + 2] = score, turn .. id
      m = m + 2
      if key ~= '' then keys[key] = id end
    end
  end
  count(l.queue, state, k - before)
  states[#states + 1] = state
end

if k == 0 then
  put(writes)
  return {'ok', nowText, concat(states), existing}
end
length('HLEN', 'jobs', apart)
call('ZCARD', NS .. 'blocks')
local block = math.floor(first / 128)
for b = block, math.floor((first + k - 1) / 128) do call('STRLEN', NS .. 'order|' .. b) end
flush()
for id, bytes in pairs(apart) do call('HSET', NS .. 'jobs', id, bytes) end
for key, id in pairs(keys) do call('HSET', NS .. 'unique', key, id) end
call('HSET', NS .. 'numbers', 'next', format('%.0f', first + k), 'last', nowText)
-- The ids of one block stand in one string, in the order of enqueueing.
i = 1
while i <= k do
  local last = min(k, (block + 1) * 128 - first)
  if call('APPEND', NS .. 'order|' .. block, concat(fresh, '', i, last)) == 16 * (last - i + 1) then
    call('ZADD', NS .. 'blocks', block, block)
  end
  i, block = last + 1, block + 1
end
put(writes)
return {'ok', nowText, concat(states), existing}
