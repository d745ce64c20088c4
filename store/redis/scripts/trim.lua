-- Trim: deletes finished jobs.

-- split cuts a text into ids, and appends them to a list.
local function split(text, list)
  for i = 1, #text, 16 do list[#list + 1] = sub(text, i, i + 15) end
end

-- reap deletes at most n finished jobs that expire until a time, the first to expire first, and returns how many it
-- deleted. A group of ids may name jobs that have been deleted or run again since: their places do not fit. Of those
-- it looks at a thousand and a few; the next script goes on.
local function reap(n, last)
  local gone, looked = 0, 0
  while gone < n and looked < n + 1000 do
    local groups = call('ZRANGEBYSCORE', NS .. 'expiring', '-inf', last, 'WITHSCORES', 'LIMIT', 0, 10)
    if not groups[1] then return gone end
    for g = 1, #groups, 2 do
      if gone == n then return gone end
      local text, score, ids, rest = groups[g], tonumber(groups[g + 1]), {}, {}
      split(text, ids)
      looked = looked + #ids
      local list = fetch('HMGET', NS .. 'places', ids)
      for i = 1, #ids do
        local p = list[i]
        if p and byte(p) > 52 and number('>I8', expiryOf(p)) == score then
          if gone < n then
            remove(ids[i], p)
            gone = gone + 1
          else
            rest[#rest + 1] = ids[i]
          end
        end
      end
      flush()
      call('ZREM', NS .. 'expiring', text)
      -- Only those that fit: the same ids alone may be there already, by the time when they expire now.
      if rest[1] then call('ZADD', NS .. 'expiring', groups[g + 1], concat(rest)) end
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
