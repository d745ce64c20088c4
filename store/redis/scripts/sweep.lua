#!lua flags=allow-oom
-- uses: base place held
-- Sweep: removes processes whose lease is over, and finds claims that no living process holds.
-- Items: the limit; how often the lists of running jobs are compared with their number, in microseconds.
-- Reply: {claims, the oldest first: id, job, place, id ...; how many running jobs are in no list, if that was compared now, or 0}.

local limit, every = tonumber(take()), tonumber(take())
call('HLEN', NS .. 'processes')
local compared = call('HGET', NS .. 'numbers', 'compared')
call('ZCARD', NS .. 'gone')
local over = call('ZRANGEBYSCORE', NS .. 'leases', '-inf', nowText)
for i = 1, #over do
  call('ZREM', NS .. 'leases', over[i])
  call('HDEL', NS .. 'processes', over[i])
  call('ZADD', NS .. 'gone', nowText, over[i])
end

-- Texts are compared by their bytes: Lua's own comparison depends on the server's language.
local function before(a, b)
  if a[2] ~= b[2] then return a[2] < b[2] end
  for i = 1, 16 do
    local x, y = byte(a[1], i), byte(b[1], i)
    if x ~= y then return x < y end
  end
  return false
end

local orphans, last = {}, nil

local function cut()
  table.sort(orphans, before)
  for i = #orphans, limit + 1, -1 do orphans[i] = nil end
end

local holders = call('SMEMBERS', NS .. 'holders')

-- unlisted returns how many more jobs are running than the lists of processes say, as far as texts of ids are there that are long enough.
-- Of these it looks at some thousands, beginning anywhere.
local function unlisted()
  local n, left = 0, 5000
  local counts = call('HGETALL', NS .. 'counts')
  for i = 1, #counts, 2 do
    if byte(counts[i]) == 52 then n = n + counts[i + 1] end
  end
  for i = 1, #holders do
    local exchanges = call('HGETALL', NS .. 'running|' .. holders[(i + now) % #holders + 1])
    for k = 1, #exchanges, 2 do
      local held = tonumber(exchanges[k + 1])
      if left > 0 then held = min(held, call('STRLEN', NS .. 'claimed|' .. exchanges[k]) / 16) end
      n, left = n - held, left - 1
    end
  end
  return math.max(n, 0)
end

local missing = 0
if math.abs(now - (compared or 0)) >= every then
  local told, n = pcall(unlisted) -- a key of another type keeps nobody's claims from being swept
  missing = told and n or 0
  call('HSET', NS .. 'numbers', 'compared', nowText)
end
for i = 1, #holders do
  if not call('ZSCORE', NS .. 'leases', holders[i]) then
    eachHeld(holders[i], function(id, p)
      local o = {id, number('>I8', p, 40), p}
      if last and not before(o, last) then return end
      orphans[#orphans + 1] = o
      if #orphans > 2 * limit + 100 then -- of many, most are not sorted
        cut()
        last = orphans[limit]
      end
    end)
  end
end
cut()
local reply = {}
for i = 1, #orphans do
  push(reply, orphans[i][1], apartFrom({orphans[i][1]}, {orphans[i][3]})[1])
  reply[#reply + 1] = orphans[i][3]
end
return {reply, missing}
