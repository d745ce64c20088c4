#!lua flags=no-writes
-- uses: base
-- Stats: what the queues have to do.
-- Reply: {counts: state and queue, number ...; paused queues; queue, oldest due time of a ready job, queue ...;
-- queue, earliest due time of a scheduled job, queue ...}.

local counts, ready = call('HGETALL', NS .. 'counts'), {}
for i = 1, #counts, 2 do
  if byte(counts[i]) == 51 then
    local name, oldest, text = sub(counts[i], 2), math.huge, nil
    local lanes = call('ZRANGE', NS .. 'lanes|' .. name, 0, -1)
    for k = 1, #lanes do
      local head = call('ZRANGE', NS .. 'ready|' .. lanes[k], 0, 0, 'WITHSCORES')
      if head[2] and tonumber(head[2]) < oldest then oldest, text = tonumber(head[2]), head[2] end
    end
    if text then
      ready[#ready + 1] = name
      ready[#ready + 1] = text
    end
  end
end
return {counts, call('SMEMBERS', NS .. 'paused'), ready, call('ZRANGE', NS .. 'due', 0, -1, 'WITHSCORES')}
