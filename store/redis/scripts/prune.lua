#!lua flags=allow-oom
-- uses: base place trim
-- Prune: deletes what has expired, and finished jobs beyond those that are kept.
-- Items: the limit, how many finished jobs are kept, and how long departed processes are remembered.
-- Reply: how many things were deleted.

local limit, most, remember = tonumber(take()), tonumber(take()), tonumber(take())
local n = reap(limit, nowText)
n = n + trim(most, limit - n)

local members = call('ZRANGEBYSCORE', NS .. 'recordexpiry', '-inf', nowText, 'LIMIT', 0, limit)
for i = 1, #members do
  local size = number('>I2', members[i])
  local space, key = sub(members[i], 3, 2 + size), sub(members[i], 3 + size)
  call('HDEL', NS .. 'records|' .. space, key)
  call('ZREM', NS .. 'recordkeys|' .. space, key)
  call('ZREM', NS .. 'recordexpiry', members[i])
end
call('ZREMRANGEBYSCORE', NS .. 'gone', '-inf', '(' .. format('%.0f', now - remember))
return n + #members
