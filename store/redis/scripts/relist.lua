#!lua flags=allow-oom
-- uses: base held
-- Relist: looks at some places, and lists anew the jobs that are running and that no list leads to: the lists of their process and
-- exchange were lost by themselves.
-- Items: where to go on, '0' to begin; how many places to look at, about.
-- Reply: where to go on, '0' at the end; how many jobs were listed.

local page = call('HSCAN', NS .. 'places', take(), 'COUNT', take())
local running = {} -- by exchange and process: ids
for i = 1, #page[2], 2 do
  local p = page[2][i + 1]
  if byte(p) == 52 then
    local holder = sub(p, 8, 39)
    local ids = running[holder] or {}
    running[holder] = ids
    ids[#ids + 1] = page[2][i]
  end
end

local writes, listed = {}, 0
for holder, ids in pairs(running) do
  local exchange, process = sub(holder, 1, 16), sub(holder, 17)
  local known = call('SISMEMBER', NS .. 'holders', process) + call('HEXISTS', NS .. 'running|' .. process, exchange) == 2
  local has = {}
  local still = eachClaimed(process, exchange, function(id) has[id] = true end)
  local more = known and 0 or #still
  for i = 1, #ids do
    if not has[ids[i]] then
      still[#still + 1] = ids[i]
      more = more + 1
    end
  end
  if more > 0 then
    writes[#writes + 1] = {exchange, process, still}
    listed = listed + more
  end
end
for _, w in ipairs(writes) do
  call('SET', NS .. 'claimed|' .. w[1], concat(w[3]))
  call('HSET', NS .. 'running|' .. w[2], w[1], #w[3])
  call('SADD', NS .. 'holders', w[2])
end
return {page[1], listed}
