#!lua flags=allow-oom
-- uses: base
-- Pause: stops or resumes the claiming from a queue.
-- Items: the queue, and '1' to pause it.

local name, paused = take(), take()
if paused == '1' then
  call('SADD', NS .. 'paused', name)
else
  call('SREM', NS .. 'paused', name)
  call('SPUBLISH', NS .. 'wake', name)
end
return 'ok'
