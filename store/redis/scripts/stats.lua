#!lua flags=no-writes
-- uses: base
-- Stats: what the queues have to do.
-- Reply: {counts of jobs that have not ended or are dead: state and queue, number ...; paused queues; queue, earliest due
-- time of a scheduled job, queue ...}.

local counts, live, k = call('HGETALL', NS .. 'counts'), {}, 0
for i = 1, #counts, 2 do
  local state = byte(counts[i])
  if state < 53 or state > 55 then -- '5' to '7': finished
    live[k + 1], live[k + 2] = counts[i], counts[i + 1]
    k = k + 2
  end
end
return {live, call('SMEMBERS', NS .. 'paused'), call('ZRANGE', NS .. 'due', 0, -1, 'WITHSCORES')}
