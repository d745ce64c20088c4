#!lua flags=allow-oom
-- uses:
-- Stage: keeps a part of a large call's items until the call itself comes.
-- The third argument and those behind it are items; the second is the list.
for i = 3, #ARGV, 4000 do redis.call('RPUSH', ARGV[2], unpack(ARGV, i, math.min(i + 3999, #ARGV))) end
redis.call('PEXPIRE', ARGV[2], 60000)
return 'ok'
