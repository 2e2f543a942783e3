import { script } from "../redis/script.ts";

/**
 * Arguments: the token, and the milliseconds after which the claim lapses. Returns whether the claim
 * stands; asked again, it says the same.
 */
export const claimScript = script(`
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local kept = redis.call('GET', KEYS[1])
local mine = 'C' .. history .. ARGV[1]
if kept and string.sub(kept, 2, 41) == history then return kept == mine and 1 or 0 end
redis.call('SET', KEYS[1], mine, 'PX', ARGV[2])
return 1
`);

/** Arguments: the token, the milliseconds the text is kept, the text. */
export const fillScript = script(`
local kept = redis.call('GET', KEYS[1])
if not kept or string.sub(kept, 1, 1) ~= 'C' or string.sub(kept, 42) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'T' .. string.sub(kept, 2, 41) .. ARGV[3], 'PX', ARGV[2])
return 1
`);
