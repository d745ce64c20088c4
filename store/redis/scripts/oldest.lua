#!lua flags=no-writes
-- uses: base
-- Oldest: since when the oldest ready jobs of queues have been due.
-- Items: how many lanes are enough; then queues.
-- Reply: how many of the queues were looked at, then of those with ready jobs queue, due time, queue ...

local enough, looked, done, reply = tonumber(take()), 0, 0, {0}
for i = at + 1, #items do
  if looked >= enough then break end
  local oldest, text = math.huge, nil
  local lanes = call('ZRANGE', NS .. 'lanes|' .. items[i], 0, -1)
  for k = 1, #lanes do
    local head = call('ZRANGE', NS .. 'ready|' .. lanes[k], 0, 0, 'WITHSCORES')
    if head[2] and tonumber(head[2]) < oldest then oldest, text = tonumber(head[2]), head[2] end
  end
  if text then
    reply[#reply + 1] = items[i]
    reply[#reply + 1] = text
  end
  looked, done = looked + #lanes + 1, done + 1
end
reply[1] = done
return reply
