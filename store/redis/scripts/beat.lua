#!lua flags=allow-oom
-- uses: base place held merge claim
-- Beat: a process says that it is alive, or leaves.
-- Items: the process, what it says of itself, its lease in microseconds or '' to leave; then id and token of each
-- claim that it believes to hold.
-- Reply: {'ok', now, indexes of lost claims, extra claims, cancels} or {'gone'}.

local process, self, lease = take(), take(), take()
local ids, tokens = {}, {}
while at < #items do push(ids, take()) push(tokens, take()) end

if call('ZSCORE', NS .. 'gone', process) and lease ~= '' then return {'gone'} end
call('HLEN', NS .. 'processes')
call('ZCARD', NS .. 'leases')
local lost, extra, named = {}, {}, {}
local list = fetch('HMGET', NS .. 'places', ids)
for i = 1, #ids do
  local p = list[i]
  if p and byte(p) == 52 and sub(p, 2, 23) == tokens[i] and sub(p, 24, 39) == process then
    named[ids[i]] = true
  else
    lost[#lost + 1] = i - 1
  end
end
local fewer = {} -- what exchanges have claimed, without what has ended if that is most of it
local exchanges = call('HKEYS', NS .. 'running|' .. process)
for i = 1, #exchanges do
  local still, n = eachClaimed(process, exchanges[i], function(id, p)
    if named[id] then return end
    push(extra, id, apartFrom({id}, {p})[1])
    extra[#extra + 1] = p
  end)
  if still[1] and 2 * #still < n then push(fewer, NS .. 'claimed|' .. exchanges[i], concat(still)) end
end
local cancels = cancelled(process)

-- A few long jobs among many short ones would be looked for among all of them by each beat.
for i = 1, #fewer, 2 do call('SET', fewer[i], fewer[i + 1]) end
if lease ~= '' then
  call('HSET', NS .. 'processes', process, nowBytes .. self)
  call('ZADD', NS .. 'leases', format('%.0f', now + lease), process)
elseif call('ZREM', NS .. 'leases', process) == 1 then
  call('HDEL', NS .. 'processes', process)
  call('ZADD', NS .. 'gone', nowText, process)
end
return {'ok', nowText, lost, extra, cancels}
