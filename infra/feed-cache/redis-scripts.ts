import { type Script, script } from "../redis/script.ts";
import { feedWindow } from "./port.ts";

/**
 * Ids are compared as numbers, since Lua compares strings in the server's locale: 48 + 48 + 32 bits,
 * each exact in a double. A feed is rewritten behind itself and then cut, so that its key never
 * vanishes and keeps its expiry.
 */
const shared = `
local key, window, none = KEYS[1], ${feedWindow}, string.rep('\\0', 16)

local function above(a, b)
  local a1, a2, a3 = struct.unpack('>I6I6I4', a)
  local b1, b2, b3 = struct.unpack('>I6I6I4', b)
  if a1 ~= b1 then return a1 > b1 end
  if a2 ~= b2 then return a2 > b2 end
  return a3 > b3
end

local function decode(header)
  local kind = string.sub(header, 1, 1)
  local pulls = kind == 'C' and 74 or 58
  return {
    kind = kind,
    history = string.sub(header, 2, 41),
    floor = string.sub(header, 42, 57),
    token = string.sub(header, 58, pulls - 1),
    pulls = string.sub(header, pulls)
  }
end

local function encode(feed)
  return feed.kind .. feed.history .. feed.floor .. feed.token .. feed.pulls
end

local function addPull(feed, author)
  for at = 1, #feed.pulls, 16 do
    if string.sub(feed.pulls, at, at + 15) == author then return end
  end
  feed.pulls = feed.pulls .. author
end

-- The feed's header, with the authors that wait before it, and how many elements wait there; and the
-- pushes among them. Nothing where there is no feed.
local function open()
  local pushed, authors, at = {}, {}, 0
  while true do
    local elements = redis.call('LRANGE', key, at, at + 15)
    if #elements == 0 then return nil, pushed end
    for i, element in ipairs(elements) do
      if #element == 16 then
        pushed[#pushed + 1] = element
      elseif #element == 17 then
        authors[#authors + 1] = string.sub(element, 2)
      else
        local feed = decode(element)
        feed.waiting = at + i - 1
        for _, author in ipairs(authors) do addPull(feed, author) end
        return feed, pushed
      end
    end
    at = at + 16
  end
end

local function newestFirst(ids)
  for i = 2, #ids do
    if not above(ids[i - 1], ids[i]) then
      table.sort(ids, above)
      return
    end
  end
end

-- Both newest first, without those that are in both or below the floor.
local function union(feed, these, those)
  local ids, i, j = {}, 1, 1
  while these[i] or those[j] do
    local id
    if not those[j] or (these[i] and above(these[i], those[j])) then
      id, i = these[i], i + 1
    else
      id, j = those[j], j + 1
    end
    if above(feed.floor, id) then break end
    if id ~= ids[#ids] then ids[#ids + 1] = id end
  end
  return ids
end

local function rewrite(feed, ids)
  if #ids > window then
    for i = #ids, window + 1, -1 do ids[i] = nil end
    feed.floor = ids[window]
  end
  local before = redis.call('LLEN', key)
  redis.call('RPUSH', key, encode(feed), unpack(ids))
  redis.call('LTRIM', key, before, -1)
end

-- All ids in place, those of pushes too.
local function load(feed, pushed)
  newestFirst(pushed)
  return union(feed, pushed, redis.call('LRANGE', key, feed.waiting + 1, -1))
end

-- Puts pushes in their place; without touching the others when all are newer than they.
local function settle(feed, pushed)
  if feed.waiting == 0 then return end
  if #pushed == 0 then
    redis.call('LTRIM', key, feed.waiting, -1)
    return redis.call('LSET', key, 0, encode(feed))
  end
  newestFirst(pushed)
  local newest = redis.call('LINDEX', key, feed.waiting + 1)
  if not newest or not above(pushed[#pushed], newest) then
    return rewrite(feed, load(feed, pushed))
  end
  redis.call('LPOP', key, feed.waiting + 1)
  local length
  for i = #pushed, 1, -1 do
    if pushed[i] ~= pushed[i + 1] then length = redis.call('LPUSH', key, pushed[i]) end
  end
  if length > window then
    redis.call('LTRIM', key, 0, window - 1)
    feed.floor = redis.call('LINDEX', key, -1)
  end
  redis.call('LPUSH', key, encode(feed))
end

-- Adds ids that are newest first, and reach down to a floor.
local function merge(feed, pushed, floor, ids)
  -- The window cuts what is there before it cuts what comes, as if each had come by itself.
  settle(feed, pushed)
  local there = redis.call('LRANGE', key, 1, -1)
  if above(floor, feed.floor) then feed.floor = floor end
  rewrite(feed, union(feed, ids, there))
end

local function arguments(from)
  local ids = {}
  for i = from, #ARGV do ids[#ids + 1] = ARGV[i] end
  return ids
end
`;

/** Puts the pushes in their place. */
export const settleScript = feedScript(`
local feed, pushed = open()
if feed then settle(feed, pushed) end
`);

/** Arguments: the id to go below, the count. Returns the header and the ids. */
export const pageScript = feedScript(`
local feed, pushed = open()
if not feed then return {} end
settle(feed, pushed)
local low, high = 1, redis.call('LLEN', key)
while low < high do
  local middle = math.floor((low + high) / 2)
  if above(ARGV[1], redis.call('LINDEX', key, middle)) then high = middle else low = middle + 1 end
end
local page = redis.call('LRANGE', key, low, low + ARGV[2] - 1)
table.insert(page, 1, encode(feed))
return page
`);

/**
 * Arguments: the token, and the milliseconds after which the claim lapses. Returns whether the claim
 * stands; asked again, it says the same.
 */
export const claimScript = feedScript(`
local feed = open()
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if feed and feed.history == history then
  return feed.kind == 'C' and feed.token == ARGV[1] and 1 or 0
end
redis.call('DEL', key)
redis.call('RPUSH', key, encode({kind = 'C', history = history, floor = none, token = ARGV[1], pulls = ''}))
redis.call('PEXPIRE', key, ARGV[2])
return 1
`);

/** Arguments: the token, the milliseconds a filled feed is kept, the floor, the ids newest first. */
export const fillScript = feedScript(`
local feed, pushed = open()
if not feed or feed.kind ~= 'C' or feed.token ~= ARGV[1] then return 0 end
feed.kind, feed.token = 'F', ''
merge(feed, pushed, ARGV[3], arguments(4))
redis.call('PEXPIRE', key, ARGV[2])
return 1
`);

/** Arguments: the floor, the ids newest first. */
export const mergeScript = feedScript(`
local feed, pushed = open()
if feed then merge(feed, pushed, ARGV[1], arguments(2)) end
`);

function feedScript(body: string): Script {
  return script(shared + body);
}
