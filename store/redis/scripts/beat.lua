#!lua flags=allow-oom
-- uses: base place held claim
-- Beat: a process says that it is alive, or leaves.
-- Items: the process, what it says of itself, its lease in microseconds or '' to leave; then id and token of each
-- claim that it believes to hold.
-- Reply: {'ok', now, indexes of lost claims, extra claims, cancels} or {'gone'}.

local process, self, lease = take(), take(), take()
local ids, tokens = {}, {}
while at < #items do push(ids, take()) push(tokens, take()) end

call('HLEN', NS .. 'running|' .. process)
call('HLEN', NS .. 'processes')
call('ZCARD', NS .. 'leases')
local gone = call('ZSCORE', NS .. 'gone', process)
if lease == '' then
  if call('ZREM', NS .. 'leases', process) == 1 then
    call('HDEL', NS .. 'processes', process)
    call('ZADD', NS .. 'gone', nowText, process)
  end
elseif gone then
  return {'gone'}
else
  call('HSET', NS .. 'processes', process, nowBytes .. self)
  call('ZADD', NS .. 'leases', format('%.0f', now + lease), process)
end

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
eachHeld(process, function(id, p)
  if named[id] then return end
  push(extra, id, apartFrom({id}, {p})[1])
  extra[#extra + 1] = p
end)
return {'ok', nowText, lost, extra, cancelled(process)}
