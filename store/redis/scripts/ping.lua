#!lua flags=allow-oom
-- uses: base
-- Ping: the clock and the version of the layout.
return {nowText, call('GET', NS .. 'layout') or ''}
