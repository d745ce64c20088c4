#!lua flags=allow-oom
-- uses: base place
-- Promote: makes scheduled jobs ready whose time has come, the earliest first.
-- Items: the limit.
-- Reply: {how many, now, the earliest due time or ''}.

local limit = tonumber(take())
local due = {}
local names = call('ZRANGEBYSCORE', NS .. 'due', '-inf', nowText)
for i = 1, #names do
  local list = call('ZRANGEBYSCORE', NS .. 'scheduled|' .. names[i], '-inf', nowText, 'WITHSCORES', 'LIMIT', 0, limit)
  for k = 1, #list, 2 do due[#due + 1] = {list[k], tonumber(list[k + 1]), number('>I6', list[k])} end
end
table.sort(due, function(a, b) return a[2] < b[2] or a[2] == b[2] and a[3] < b[3] end)
local ids, n = {}, min(limit, #due)
for i = 1, n do ids[i] = sub(due[i][1], 7) end
local list = fetch('HMGET', NS .. 'places', ids)
for i = 1, n do
  local id, p = ids[i], list[i]
  if p and byte(p) == 49 then
    local l = laneOf(p, 8)
    leave(id, p, l)
    enter(id, '3' .. sub(p, 2), l, dueText(p, 8))
  end
end
if n > 0 then flush() end
local earliest = call('ZRANGE', NS .. 'due', 0, 0, 'WITHSCORES')
return {n, nowText, earliest[2] or ''}
