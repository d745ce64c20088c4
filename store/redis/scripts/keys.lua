#!lua flags=no-writes
-- uses: base
-- Keys: looks among the keys of the namespace for some that are not ours, or of another type.
-- Items: where to go on, '0' to begin; how many keys to look at; then for each name what its keys begin with, which is all if it does not
-- end with '|', and their type.
-- Reply: where to go on, '0' at the end; how many of the namespace were seen; and of those that are wrong name, type, name ...

local cursor, most, types = take(), take(), {}
for i = at + 1, #items, 2 do types[items[i]] = items[i + 1] end
local page = call('SCAN', cursor, 'MATCH', NS .. '*', 'COUNT', most)
local reply = {page[1], #page[2]}
for _, key in ipairs(page[2]) do
  local name = sub(key, #NS + 1)
  local kind = call('TYPE', key).ok
  if kind ~= 'none' and kind ~= types[string.match(name, '^[^|]*|?')] then
    reply[#reply + 1] = name
    reply[#reply + 1] = kind
  end
end
return reply
