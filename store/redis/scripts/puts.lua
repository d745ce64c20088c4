-- Puts: compare-and-set of records, alone or as preconditions of a verb.
--
-- A record's value is 8 bytes of version, 8 of the time when it expires (0 for never), and the caller's bytes.

-- takePuts reads the writes of the call and compares the versions. It returns them, or the index of the one that
-- does not fit.
local function takePuts()
  local writes = {}
  for i = 1, tonumber(take()) do
    local w = {space = take(), key = take(), expect = take(), how = take(), ttl = tonumber(take()), value = take()}
    writes[i] = w
    local have = call('HGET', NS .. 'records|' .. w.space, w.key)
    local expires = have and number('>I8', have, 9) or 0
    local version = '\0\0\0\0\0\0\0\0'
    if have and (expires == 0 or expires > now) then version = sub(have, 1, 8) end
    w.had = expires
    if w.expect ~= '' and w.expect ~= version then return nil, i - 1 end
    if w.how ~= 'check' then
      call('ZCARD', NS .. 'recordkeys|' .. w.space)
      call('ZCARD', NS .. 'recordexpiry')
      call('HLEN', NS .. 'numbers')
    end
  end
  return writes
end

-- recordMember names a record among the records of all spaces.
local function recordMember(space, key)
  return pack('>I2', #space) .. space .. key
end

local function put(writes)
  for i = 1, #writes do
    local w = writes[i]
    local records, keys = NS .. 'records|' .. w.space, NS .. 'recordkeys|' .. w.space
    if w.how == 'delete' then
      call('HDEL', records, w.key)
      call('ZREM', keys, w.key)
      if w.had > 0 then call('ZREM', NS .. 'recordexpiry', recordMember(w.space, w.key)) end
    elseif w.how == 'set' then
      local expires = w.ttl > 0 and now + w.ttl or 0
      call('HSET', records, w.key, pack('>I8I8', call('HINCRBY', NS .. 'numbers', 'version', 1), expires) .. w.value)
      call('ZADD', keys, 0, w.key)
      if expires > 0 then
        call('ZADD', NS .. 'recordexpiry', format('%.0f', expires), recordMember(w.space, w.key))
      elseif w.had > 0 then
        call('ZREM', NS .. 'recordexpiry', recordMember(w.space, w.key))
      end
    end
  end
end
