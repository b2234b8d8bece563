"""The steps that Redis makes at once, in Lua: numbering and sending a message, and asking for what is kept.

Owns the layout of a channel's two keys. Knows no connection.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PUBLISH", "SINCE"]

# KEYS: a channel's state (n: number, e: epoch, p: something was published in this epoch), and its stream, whose ids are
# number-1. ARGV: the number that the caller knows, a new epoch, the payload, how many messages to keep, how long to
# keep state and stream in milliseconds, the name for PUBLISH, the epoch of the number that the caller knows.
#
# A number below the one that somebody knows of the same epoch: Redis has come back with older data (a snapshot, a
# replica that lagged). Those behind it are gone, and would be given twice.
PUBLISH: Final = """
local state = redis.call('HMGET', KEYS[1], 'n', 'e', 'p')
local n, e, known = tonumber(state[1]), state[2], tonumber(ARGV[1])
if not n then
    n, e = known, ARGV[2]
    redis.call('DEL', KEYS[2])
elseif n < known and e == ARGV[8] then
    n, e = known, ARGV[2]
    redis.call('DEL', KEYS[2])
elseif n < known and not state[3] then
    n = known
end
local number = string.format('%.0f', n + 1)
redis.call('HSET', KEYS[1], 'n', number, 'e', e, 'p', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
if tonumber(ARGV[4]) > 0 then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], number .. '-1', 'd', ARGV[3])
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
end
redis.call('PUBLISH', ARGV[7], number .. '-' .. e .. ' ' .. ARGV[3])
return {number, e}
"""

# The same KEYS. ARGV: the number that the caller knows, a new epoch, how long to keep the state, the position behind
# which the caller wants what is kept: epoch and number, and the epoch of the number that the caller knows. All that is
# kept is of the current epoch.
SINCE: Final = """
local state = redis.call('HMGET', KEYS[1], 'n', 'e', 'p')
local n, e, known = tonumber(state[1]), state[2], tonumber(ARGV[1])
if known > 0 and (not n or (n < known and (not state[3] or e == ARGV[6]))) then
    if not n or e == ARGV[6] then
        e = ARGV[2]
        redis.call('DEL', KEYS[2])
        redis.call('HDEL', KEYS[1], 'p')
    end
    n = known
    redis.call('HSET', KEYS[1], 'n', string.format('%.0f', n), 'e', e)
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
if not n then return {'0', '', {}} end
local from = '-'
if e == ARGV[4] then from = string.format('%.0f-2', tonumber(ARGV[5])) end
return {string.format('%.0f', n), e, redis.call('XRANGE', KEYS[2], from, '+')}
"""
