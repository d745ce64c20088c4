#!lua
-- uses: base puts
-- Put: writes records, all or none.
-- Items: the puts.
-- Reply: -1, or the index of the write that does not fit.

local writes, misfit = takePuts()
if not writes then return misfit end
put(writes)
return -1
