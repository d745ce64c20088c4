-- Merge: the first members of several sorted sets together.

-- merge calls fn for at most n members, by score and then by the turn with which a member begins, until it returns
-- false. Each head has a key, and in base how many of its members to leave out; fn is called with the head whose
-- member, score and turn it is.
local function merge(heads, n, fn)
  local size = min(n, 8 + math.ceil(2 * n / #heads))
  local function read(h)
    if h.at > #h.list then
      h.list = call('ZRANGE', h.key, h.base, h.base + size - 1, 'WITHSCORES')
      h.base, h.at = h.base + #h.list / 2, 1
    end
    h.member = h.list[h.at]
    if not h.member then return false end
    h.score, h.turn = tonumber(h.list[h.at + 1]), number('>I6', h.member)
    h.at = h.at + 2
    return true
  end
  local open = {}
  for i = 1, #heads do
    local h = heads[i]
    h.list, h.at = {}, 1
    if read(h) then open[#open + 1] = h end
  end
  for _ = 1, n do
    local best, b
    for i = 1, #open do
      local h = open[i]
      if not best or h.score < best.score or h.score == best.score and h.turn < best.turn then best, b = h, i end
    end
    if not best or fn(best) == false then return end
    if not read(best) then table.remove(open, b) end
  end
end
