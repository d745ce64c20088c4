#!lua flags=allow-oom
-- uses: base place puts settle held merge claim trim
-- Exchange: hands in outcomes and claims ready jobs.
-- Items: the process ('' for none), the exchange, how many finished jobs are kept, the limit, the kinds, the number
-- of wants, queue and count of each; the puts; the number of outcomes, and for each its id, head, when and texts.
-- Reply: {'ok', now, the earliest due time or '', refused, claims, cancels, paused queues, 1 if the process is gone}
--     or {'conflict', index}.

local process, exchange, most, limit, kinds = take(), take(), tonumber(take()), tonumber(take()), take()
local wants = {}
for i = 1, tonumber(take()) do wants[i] = {take(), tonumber(take())} end
local writes, misfit = takePuts()
if not writes then return {'conflict', misfit} end

local outcomes = tonumber(items[at + 1])
local working, alive = process ~= '', false
local paused, claims, repeated = {}, {}, false
for i = 1, #wants do
  local name = wants[i][1]
  if call('SISMEMBER', NS .. 'paused', name) == 1 then paused[name] = true end
  if working and limit > 0 and outcomes > 0 then -- else nothing is written before the claims
    local texts = wantedLanes(name, kinds)
    for k = 1, #texts do call('ZCARD', NS .. 'ready|' .. texts[k]) end
  end
end
if working then
  alive = call('ZSCORE', NS .. 'leases', process)
  repeated = call('HEXISTS', NS .. 'running|' .. process, exchange) == 1
  call('SCARD', NS .. 'holders')
  call('SCARD', NS .. 'cancels|' .. process)
end
local trimming = outcomes > 0 and (call('HGET', NS .. 'numbers', 'expiring') or 0) + outcomes > most
if outcomes > 0 then call('HLEN', NS .. 'jobs') end
if trimming then
  call('ZCARD', NS .. 'expiring')
  call('ZCARD', NS .. 'dead')
  call('ZCARD', NS .. 'blocks')
  call('HLEN', NS .. 'holes')
  call('HLEN', NS .. 'unique')
end
local earliest = call('ZRANGE', NS .. 'due', 0, 0, 'WITHSCORES')

local refused = settleAll()
if outcomes > #refused / 2 then
  flush()
  earliest = call('ZRANGE', NS .. 'due', 0, 0, 'WITHSCORES')
end
put(writes)
if working and alive and repeated then claims = heldBy(process, exchange, wants) end
if working and alive and limit > 0 and #claims == 0 then
  local members, from = {}, {}
  for i = 1, #wants do
    local n = min(wants[i][2], limit - #members)
    if n > 0 and not paused[wants[i][1]] then gather(wants[i][1], kinds, n, members, from) end
  end
  if members[1] then claims = claim(process, exchange, members, from) end
end
if trimming then trim(most, 2 * outcomes) end

local stopped = {}
for name in pairs(paused) do stopped[#stopped + 1] = name end
return {'ok', nowText, earliest[2] or '', refused, claims, working and cancelled(process) or {}, stopped, working and not alive and 1 or 0}
