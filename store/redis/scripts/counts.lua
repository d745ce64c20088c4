#!lua flags=no-writes
-- uses: base
-- Counts: how many jobs there are.
-- Reply: state and queue, number ...

return call('HGETALL', NS .. 'counts')
