-- Settle: ends running claims with their outcomes.

-- recordOf returns the outcome that is recorded for a claim, as a number; 0 if none is.
local function recordOf(p, token)
  local _, t = laneOf(p, flagsAt(p))
  local _, _, _, n, records = tailOf(p, t)
  local o = 1
  for _ = 1, n do
    if sub(records, o + 4, o + 25) == token then return byte(records, o + 63) end
    o = o + 4 + number('>I4', records, o)
  end
  return 0
end

local records80 = pack('>I4', 80) -- the length of a record without a failure and a log, which most are

local moments = {} -- by how long from now: a time as text and as 8 bytes

local function moment(when)
  local m = moments[when]
  if not m then
    m = {format('%.0f', now + when), pack('>I8', now + when)}
    moments[when] = m
  end
  return m[1], m[2]
end

-- settle applies one outcome to the job at place p, which is running under its token, and returns its new place.
-- head is 22 bytes of token, and one each of the state to go to and the suspicion, 12 of counters; then what becomes
-- part of the record: one byte of outcome, the attempt's number, its times, its failure and its log. when is how long to wait
-- or to keep, in microseconds, '' for ever; texts is '' or the lengths of reason and result, and both.
local function settle(id, p, head, when, texts)
  local l, t = laneOf(p, 48)
  local n, records, oldReason, progress, oldResult = 0, '', '', '', ''
  if #p >= t then
    oldReason, progress, oldResult, n, records = tailOf(p, t)
  end
  local to, part = sub(head, 23, 23), sub(head, 37)
  local reason, result = '', ''
  if texts ~= '' then
    local r = number('>I4', texts)
    reason, result = sub(texts, 9, 8 + r), sub(texts, 9 + r)
  end
  if reason == '' and byte(part) == 6 then reason = oldReason end -- cancelled: the reason of the request stays
  if n == 20 then
    n, records = 19, sub(records, 5 + number('>I4', records))
  end
  local said = noTexts
  if #reason + #progress + #result + #oldResult > 0 then
    if to == '3' or to == '1' then result = oldResult end
    said = pack('>I4I4I4', #reason, #progress, #result) .. reason .. progress .. result
  end
  records = records .. (#part == 21 and records80 or pack('>I4', 59 + #part)) .. sub(p, 2, 60) .. part
  stop(id, p, l)
  local flags = byte(p, 48)
  local finished, expires, score = zero8, zero8, ''
  if to == '3' or to == '1' then
    flags = band(flags, CANCEL + KEYED)
    score = dueText(p, 48)
  else
    free(id, p, 48)
    flags, finished = band(flags, KEYED), nowBytes
    if when ~= '' then score, expires = moment(when) end
  end
  local due = sub(p, 49, 74) -- and generation, turn, time of enqueueing
  if to == '1' then
    local later
    score, later = moment(when)
    due = later .. sub(due, 9)
  end
  local new = to .. sub(p, 2, 7) .. char(flags + byte(head, 24)) .. due .. sub(head, 25, 36) .. sub(p, 87, t - 1) ..
    char(n + 1) .. finished .. expires .. said .. records
  enter(id, new, l, score)
  return new
end

-- settleAll applies the outcomes of the call and returns what was refused: index, what is recorded, index ...
local function settleAll()
  local n = tonumber(take())
  local ids, refused = {}, {}
  if n == 0 then return refused end
  for i = 1, n do ids[i] = items[at + 4 * i - 3] end
  local list = fetch('HMGET', NS .. 'places', ids)
  local now = {} -- the newest places, by id
  for i = 1, n do now[ids[i]] = list[i] end
  for i = 1, n do
    local id, head, when, texts = take(), take(), take(), take()
    local p = now[id]
    if p and byte(p) == 52 and sub(p, 2, 23) == sub(head, 1, 22) then
      now[id] = settle(id, p, head, when, texts)
    else
      local recorded = p and recordOf(p, sub(head, 1, 22)) or 0
      if recorded ~= byte(head, 37) then push(refused, i - 1, recorded) end
    end
  end
  return refused
end
