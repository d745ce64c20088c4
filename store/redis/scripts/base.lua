-- Base: the clock, what the call has brought, and commands over lists of any length.

local call, sub, byte, char, find = redis.call, string.sub, string.byte, string.char, string.find
local format, concat, band, min = string.format, table.concat, bit.band, math.min
local pack, number, spread = struct.pack, struct.unpack, unpack

local NS = KEYS[1] -- what all keys of the namespace begin with

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2] + ARGV[1] -- microseconds; the offset is for tests
local nowText, nowBytes = format('%.0f', now), pack('>I8', now)

-- What the call has brought stands behind three arguments, or was staged in a list.
local items, at = ARGV, 3
if ARGV[2] ~= '' then
  items, at = call('LRANGE', ARGV[2], 0, -1), 0
  if #items ~= tonumber(ARGV[3]) then return redis.error_reply('STAGED items are missing') end
  if not ARGV[4] then call('UNLINK', ARGV[2]) end -- a script that only reads must not, and leaves it to its end
end

local function take()
  at = at + 1
  return items[at]
end

-- Lua hands over a few thousand values at once, and no more. The bite is even, so that pairs stay together.
local bite = 4000

local function each(command, key, list)
  local n = #list
  for i = 1, n, bite do call(command, key, spread(list, i, min(i + bite - 1, n))) end
end

local function fetch(command, key, list)
  local n = #list
  if n == 0 then return {} end
  if n <= bite then return call(command, key, spread(list)) end
  local all, k = {}, 0
  for i = 1, n, bite do
    local part = call(command, key, spread(list, i, min(i + bite - 1, n)))
    for m = 1, #part do all[k + m] = part[m] end
    k = k + #part
  end
  return all
end
