#!lua flags=allow-oom
-- uses: base place puts held filter
-- Act: does an action to jobs, by id or by filter.
-- Items: the filter; the action's name, the states that it may start from, the state that it leads to, how long a
-- job is kept then that does not say so itself, the reason, before which turn ('' for the newest), the limit, and how
-- many to look at; the puts, which only check; then ids, or none to go by the filter. Behind an id may stand the first 7 bytes of the place at
-- which the caller has seen the job.
-- Reply: {changed, signalled, {id, state or '', holder or '' ...} of those skipped, where to go on or '', ids of those
-- that are not where they were seen}; or {'conflict', the index of the put that does not fit}.

local action, from, to, keep, reason = take(), take(), take(), tonumber(take()), take()
local before, limit, most = tonumber(take()), tonumber(take()), tonumber(take())
local checks, misfit = takePuts()
if not checks then return {'conflict', misfit} end
local changed, signalled, skipped = {}, {}, {}
local keys, takers = {}, {} -- unique keys that this call takes

local function skip(id, state, holder)
  push(skipped, id, state)
  skipped[#skipped + 1] = holder
end

-- retention returns how long a job is to be kept once it has ended.
local function retention(id, p)
  local job = jobOf(id, p)
  local ok, own, rest = pcall(function()
    local o = 5 + number('>I4', job)
    o = o + 2 + number('>I2', job, o)
    o = o + 2 + number('>I2', job, o) + 21
    return number('>i8', job, o), number('>I2', job, o + 8)
  end)
  if not ok or own == 0 and rest == 0 then return keep end -- its bytes are lost or damaged, or do not say
  return own
end

local function again(id, p, state)
  local l, t = laneOf(p, 8)
  local flags = byte(p, 8)
  local key = band(flags, KEYED) ~= 0 and keyOf(id, p) or ''
  if key ~= '' then
    local holder = keys[key] or holderOf(key)
    if holder then return skip(id, state, holder) end
    keys[key] = id
    push(takers, key, id)
  end
  local _, _, _, attempts, records = tailOf(p, t)
  leave(id, p, l)
  enter(id, '3' .. sub(p, 2, 7) .. char(band(flags, KEYED)) .. nowBytes .. pack('>I4', number('>I4', p, 17) + 1) .. sub(p, 21, 34) ..
    zero8 .. sub(zero8, 1, 4) .. sub(p, 47, t - 1) .. tail(attempts, records, zero8, zero8, reason, '', ''), l, nowText)
  changed[#changed + 1] = id
end

local function runNow(id, p)
  local l, t = laneOf(p, 8)
  local _, progress, result, attempts, records = tailOf(p, t)
  leave(id, p, l)
  enter(id, '3' .. sub(p, 2, 7) .. char(band(byte(p, 8), SUSPECT + KEYED)) .. nowBytes .. sub(p, 17, t - 1) ..
    tail(attempts, records, zero8, zero8, reason, progress, result), l, nowText)
  changed[#changed + 1] = id
end

local function signal(id, p)
  local _, t = laneOf(p, 48)
  local _, progress, result, attempts, records = tailOf(p, t)
  local flags = byte(p, 48)
  if band(flags, CANCEL) == 0 then flags = flags + CANCEL end
  push(places, id, sub(p, 1, 47) .. char(flags) .. sub(p, 49, t - 1) .. tail(attempts, records, zero8, zero8, reason, progress, result))
  push(cancel, sub(p, 24, 39), id)
  signalled[#signalled + 1] = id
end

local function act(id, p)
  local state = sub(p, 1, 1)
  if not find(from, state, 1, true) then
    skip(id, state, '')
  elseif action == 'delete' then
    remove(id, p)
    changed[#changed + 1] = id
  elseif action == 'retry' then
    again(id, p, state)
  elseif action == 'run' then
    runNow(id, p)
  elseif state == '4' then
    signal(id, p)
  else
    ended(id, p, to, retention(id, p), reason)
    changed[#changed + 1] = id
  end
end

local onward, moved = '', {}
if at < #items then
  local seen, ids = {}, {}
  while at < #items do
    local item = take()
    local id = sub(item, 1, 16)
    if not seen[id] then
      seen[id] = sub(item, 17)
      ids[#ids + 1] = id
    end
  end
  local list = fetch('HMGET', NS .. 'places', ids)
  for i = 1, #ids do
    if list[i] and seen[ids[i]] ~= '' and seen[ids[i]] ~= sub(list[i], 1, 7) then
      moved[#moved + 1] = ids[i]
    elseif list[i] then
      act(ids[i], list[i])
    else
      skip(ids[i], '', '')
    end
  end
else
  onward = scan(before, limit, most, act)
end
flush()
each('HSET', NS .. 'unique', takers)
return {changed, signalled, skipped, onward, moved}
