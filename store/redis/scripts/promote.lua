#!lua flags=allow-oom
-- uses: base place merge
-- Promote: makes scheduled jobs ready whose time has come, the earliest first.
-- Items: the limit.
-- Reply: {how many, now, the earliest due time or ''}.

local limit = tonumber(take())
-- The earliest jobs are in the queues that are due first: there are at most as many of these as of those.
local names = limit > 0 and call('ZRANGEBYSCORE', NS .. 'due', '-inf', nowText, 'LIMIT', 0, limit) or {}
local heads, ids = {}, {}
for i = 1, #names do heads[i] = {key = NS .. 'scheduled|' .. names[i], base = 0} end
merge(heads, limit, function(h)
  if h.score > now then return false end
  ids[#ids + 1] = sub(h.member, 7)
end)
local list = fetch('HMGET', NS .. 'places', ids)
for i = 1, #ids do
  local id, p = ids[i], list[i]
  if p and byte(p) == 49 then
    local l = laneOf(p, 8)
    leave(id, p, l)
    enter(id, '3' .. sub(p, 2), l, dueText(p, 8))
  end
end
if ids[1] then flush() end
local earliest = call('ZRANGE', NS .. 'due', 0, 0, 'WITHSCORES')
return {#ids, nowText, earliest[2] or ''}
