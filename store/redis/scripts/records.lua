#!lua flags=no-writes
-- uses: base
-- Records: reads the records of one space.
-- Items: the space, the limit, where to begin and where to end in the order of keys (as ZRANGEBYLEX takes it); or the
-- space, the limit, '' and '', and the keys in their order.
-- Reply: one text of key, value, key ... packed as MessagePack; '' for none. The server sends 64 KB of a list of texts to a
-- client and then turns to the next script; one text it sends as far as the client takes it.

local space, limit, from, to = take(), tonumber(take()), take(), take()
local reply, n = {}, 0

-- add adds those of the keys that are there and have not expired, as far as the limit.
local function add(keys)
  local values = fetch('HMGET', NS .. 'records|' .. space, keys)
  for i = 1, #keys do
    local expires = values[i] and number('>I8', values[i], 9)
    if n < limit and expires and (expires == 0 or expires > now) then
      reply[2 * n + 1], reply[2 * n + 2] = keys[i], values[i]
      n = n + 1
    end
  end
end

if from == '' then
  local keys = {}
  for i = at + 1, #items do keys[#keys + 1] = items[i] end
  add(keys)
else
  local some = min(limit, 1000) -- values may be large: no more are read than are wanted, unless many have expired
  repeat
    local keys = call('ZRANGEBYLEX', NS .. 'recordkeys|' .. space, from, to, 'LIMIT', 0, some)
    add(keys)
    if keys[1] then from = '(' .. keys[#keys] end
    some = min(2 * some, 1000)
  until #keys == 0 or n == limit
end
return n > 0 and cmsgpack.pack(reply) or ''
