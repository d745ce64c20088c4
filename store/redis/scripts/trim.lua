-- Trim: deletes finished jobs.

-- removeAll removes jobs by id, which are not running.
local function removeAll(ids)
  local list = fetch('HMGET', NS .. 'places', ids)
  for i = 1, #ids do
    if list[i] then
      remove(ids[i], list[i])
    else
      expireNot[#expireNot + 1] = ids[i]
    end
  end
  flush()
end

-- trim deletes at most n finished jobs of those that are more than most, the ones that expire first, and returns
-- how many it deleted.
local function trim(most, n)
  local excess = min(call('ZCARD', NS .. 'expiring') - most, n)
  if excess <= 0 then return 0 end
  removeAll(call('ZRANGE', NS .. 'expiring', 0, excess - 1))
  return excess
end
