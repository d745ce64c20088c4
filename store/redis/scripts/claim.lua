-- Claim: takes ready jobs for a process.

-- wantedLanes returns the lanes of a queue that hold jobs of known kinds, the most urgent first. kinds is like
-- '|mail.welcome|report|'.
local function wantedLanes(name, kinds)
  local list, n = {}, 0
  local all = call('ZRANGE', NS .. 'lanes|' .. name, 0, -1)
  for i = 1, #all do
    local text = all[i]
    if find(kinds, sub(text, (find(text, '|', 3, true))) .. '|', 1, true) then
      n = n + 1
      list[n] = text
    end
  end
  return list
end

-- gather takes at most n jobs of a queue.
local function gather(name, kinds, n, members, from)
  local texts = wantedLanes(name, kinds)
  local i, limit = 1, #members + n
  while i <= #texts and #members < limit do
    local urgency, last = byte(texts[i]), i
    while last < #texts and byte(texts[last + 1]) == urgency do last = last + 1 end
    if last > i then
      local heads, m = {}, #members
      for k = i, last do
        local l = lane(texts[k])
        heads[#heads + 1] = {lane = l, key = l.key, base = l.taken}
      end
      merge(heads, limit - m, function(h)
        m = m + 1
        members[m], from[m] = h.member, h.lane
        h.lane.taken = h.lane.taken + 1
      end)
    else
      local l = lane(texts[i])
      local list = call('ZRANGE', l.key, l.taken, l.taken + limit - #members - 1)
      local m = #members
      for k = 1, #list do members[m + k], from[m + k] = list[k], l end
      l.taken = l.taken + #list
    end
    i = last + 1
  end
end

-- claim makes the gathered jobs running, and returns id, job, place, id ...
local function claim(process, exchange, members, from)
  local n, ids, nextClaim, reply = #members, {}, {}, {}
  for i = 1, n do ids[i] = sub(members[i], 7) end
  local olds = fetch('HMGET', NS .. 'places', ids)
  local jobs = apartFrom(ids, olds)
  local run = exchange .. process .. nowBytes
  local taken, k = {}, 0
  for i = 1, n do
    local p, l = olds[i], from[i]
    if p and byte(p) == 51 then
      local number6 = sub(p, 2, 7)
      local raised = nextClaim[number6]
      if not raised then
        raised = pack('>I6', number('>I6', number6) + 1)
        nextClaim[number6] = raised
      end
      local _, t = laneOf(p, 8)
      local new
      if #p < t then
        new = '4' .. raised .. run .. sub(p, 8)
      else
        local _, _, _, attempts, records = tailOf(p, t)
        new = '4' .. raised .. run .. sub(p, 8, t - 1)
        if attempts > 0 then new = new .. char(attempts) .. emptyTail .. records end
      end
      if band(byte(p, 8), CANCEL) ~= 0 then push(cancel, process, ids[i]) end
      count(l.queue, '3', -1)
      count(l.queue, '4', 1)
      k = k + 1
      taken[k] = ids[i]
      places[2 * k - 1], places[2 * k] = ids[i], new
      reply[3 * k - 2], reply[3 * k - 1], reply[3 * k] = ids[i], jobs[i], new
    end
  end
  flush()
  if k > 0 then
    call('APPEND', NS .. 'claimed|' .. exchange, concat(taken))
    call('HINCRBY', NS .. 'running|' .. process, exchange, k)
    call('SADD', NS .. 'holders', process)
  end
  return reply
end

-- heldBy returns the claims of a process that an exchange has made and that are still held, in the order in which it
-- claimed them: id, job, place, id ... wants are lists that begin with a queue.
local function heldBy(process, exchange, wants)
  local held, rank = {}, {}
  for i = #wants, 1, -1 do rank[wants[i][1]] = i end
  eachClaimed(process, exchange, function(id, p)
    local text = laneOf(p, 48).text
    local order = (rank[sub(text, 3, find(text, '|', 3, true) - 1)] or 0) * 256 + byte(text)
    held[#held + 1] = {id, p, order, number('>I8', p, 49), number('>I6', p, 61)}
  end)
  table.sort(held, function(a, b)
    if a[3] ~= b[3] then return a[3] < b[3] end
    if a[4] ~= b[4] then return a[4] < b[4] end
    return a[5] < b[5]
  end)
  local reply = {}
  for i = 1, #held do
    push(reply, held[i][1], apartFrom({held[i][1]}, {held[i][2]})[1])
    reply[#reply + 1] = held[i][2]
  end
  return reply
end

-- cancelled returns the claims of a process that are to be cancelled: id, number and exchange, id ...
local function cancelled(process)
  local ids, reply = call('SMEMBERS', NS .. 'cancels|' .. process), {}
  local list = fetch('HMGET', NS .. 'places', ids)
  for i = 1, #ids do
    if list[i] and byte(list[i]) == 52 then push(reply, ids[i], sub(list[i], 2, 23)) end
  end
  return reply
end
