-- Trim: deletes finished jobs.

-- split cuts a text into ids, and appends them to a list.
local function split(text, list)
  for i = 1, #text, 16 do list[#list + 1] = sub(text, i, i + 15) end
end

-- reap deletes at most n finished jobs that expire until a time, the first to expire first, and returns how many it
-- deleted. A group of ids may name jobs that have been deleted or run again since: their places do not fit.
local function reap(n, last)
  local gone = 0
  while gone < n do
    local groups = call('ZRANGEBYSCORE', NS .. 'expiring', '-inf', last, 'WITHSCORES', 'LIMIT', 0, 10)
    if not groups[1] then return gone end
    for g = 1, #groups, 2 do
      if gone == n then return gone end
      local text, score, ids = groups[g], tonumber(groups[g + 1]), {}
      split(text, ids)
      local list = fetch('HMGET', NS .. 'places', ids)
      local i = 0
      while i < #ids and gone < n do
        i = i + 1
        local p = list[i]
        if p and byte(p) > 52 and number('>I8', expiryOf(p)) == score then
          remove(ids[i], p)
          gone = gone + 1
        end
      end
      flush()
      call('ZREM', NS .. 'expiring', text)
      if i < #ids then call('ZADD', NS .. 'expiring', groups[g + 1], sub(text, 16 * i + 1)) end
    end
  end
  return gone
end

-- trim deletes at most n finished jobs of those that are more than most, the ones that expire first, and returns
-- how many it deleted.
local function trim(most, n)
  local excess = min((call('HGET', NS .. 'numbers', 'expiring') or 0) - most, n)
  return excess > 0 and reap(excess, '+inf') or 0
end
