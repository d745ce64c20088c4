#!lua flags=allow-oom
-- uses: base place held
-- Sweep: removes processes whose lease is over, and finds claims that no living process holds.
-- Items: the limit.
-- Reply: claims, the oldest first: id, job, place, id ...

local limit = tonumber(take())
call('HLEN', NS .. 'processes')
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
return reply
