import { z } from "zod";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { ensureControl } from "../../projections/runner/control.ts";
import {
  countLiveLetters,
  holdPartition,
  type KeptLetter,
  liveLetters,
  parkedKeysOf,
  removeLetters,
} from "../../projections/runner/dead-letters.ts";
import { versionsOf } from "../../projections/runner/versions.ts";
import { recordsAt, redriveKey } from "../../projections/runner/redrive.ts";
import { openLetters, reasonOf, redriveLetter, settle } from "../image-worker/dead-letters.ts";
import { createDefinitions, liveProjections } from "../projector/definitions.ts";
import { operation, type OperatorEngines, Refused, type Told } from "./operation.ts";

/** What the letters of the image worker are listed under, beside the projections' names. */
export const imageWorker = "image-worker";

/** Letters in one answer. */
const maximumListed = 1_000;

/** An event that nobody takes any further until an operator has seen to it. */
export interface Letter {
  /** `<who parked it>/<topic>/<partition>/<offset>`. */
  readonly id: string;
  /** A projection, or the image worker. */
  readonly parkedBy: string;
  readonly topic: string;
  readonly key: string;
  readonly category: string;
  readonly message: string;
  /** RFC 3339. */
  readonly parkedAt: string;
}

/** What became of one key's letters. */
export interface RedrivenKey {
  readonly parkedBy: string;
  readonly topic: string;
  readonly key: string;
  readonly applied: number;
  /** The first that still does not fit, and why. */
  readonly stuck?: { readonly id: string; readonly category: string; readonly message: string };
}

const selection = z.object({
  /** Of one letter. */
  id: z.string().optional(),
  /** An aggregate's id, with its topic before it (`posts/…`) where that matters. */
  key: z.string().optional(),
  parkedBy: z.string().optional(),
});
type Selection = z.infer<typeof selection>;

/** What `deno task dlq` asks. */
export const dlqOperations = {
  "dlq.list": operation({
    input: selection,
    run: async ({ live, log, sql }, selected, { signal }) => {
      await ensureControl(sql);
      const filter = filterOf(selected);
      const kept = takesProjections(selected) ? await liveLetters(live, filter, maximumListed) : [];
      const all = takesProjections(selected) ? await countLiveLetters(live, filter) : 0;
      const images = await imageLetters(log, selected, signal);
      const letters = [...kept.map(letterOf), ...images.map(imageLetterOf)];
      return { letters: letters.slice(0, maximumListed), total: all + images.length };
    },
  }),

  "dlq.show": operation({
    input: selection.required({ id: true }),
    run: async ({ live, log }, selected, { signal }) => {
      const [image] = await imageLetters(log, selected, signal);
      if (image) return { ...imageLetterOf(image), record: shown(image) };
      const [kept] = await liveLetters(live, filterOf(selected), 1);
      if (!kept) throw new Refused(`nothing is parked as ${selected.id}: see deno task dlq list`);
      const record = (await recordsAt(log, kept, [kept.offset], signal)).get(kept.offset);
      return { ...letterOf(kept), record: record ? shown(record) : null };
    },
  }),

  "dlq.redrive": operation({
    input: selection,
    run: async (engines, selected, told) => {
      const { log } = engines;
      const images = await imageLetters(log, selected, told.signal);
      const due = await dueKeys(engines, selected);
      if (images.length + due.length === 0 && selected.id !== undefined) {
        throw new Refused(`nothing is parked as ${selected.id}: see deno task dlq list`);
      }
      const of = due.length + images.length;
      const redriven: RedrivenKey[] = [];
      for (const { projection, parked, projections } of due) {
        told.signal.throwIfAborted();
        const { topic, partition, key } = parked;
        const { applied, stuck } = await redriveKey(
          { ...engines, projections },
          projection,
          parked,
          told.signal,
        );
        const parkedBy = projection.name;
        const id = stuck && idOf(parkedBy, { topic, partition, offset: stuck.offset });
        redriven.push({
          ...{ parkedBy, topic, key, applied },
          ...(stuck && id && { stuck: { id, category: stuck.category, message: stuck.message } }),
        });
        told.onStep({ what: "keys", done: redriven.length, of });
      }
      for (const letter of images) {
        told.signal.throwIfAborted();
        await redriveLetter(log, letter);
        const { topic, key } = letter;
        redriven.push({ parkedBy: imageWorker, topic, key, applied: 1 });
        told.onStep({ what: "keys", done: redriven.length, of });
      }
      return { redriven };
    },
  }),

  "dlq.drop": operation({
    input: selection.extend({ certain: z.boolean() }),
    run: async (engines, { certain, ...selected }, told) => {
      const { live, log, sql } = engines;
      if (selected.id === undefined && selected.key === undefined) {
        throw new Refused("drop takes the id of a letter or the key whose letters are to go");
      }
      const kept = takesProjections(selected)
        ? await liveLetters(live, filterOf(selected), maximumListed)
        : [];
      const images = await imageLetters(log, selected, told.signal);
      const letters = [...kept.map(letterOf), ...images.map(imageLetterOf)];
      if (letters.length === 0) {
        const what = selected.id ?? selected.key;
        throw new Refused(`nothing is parked as ${what}: see deno task dlq list`);
      }
      if (!certain) return { letters, dropped: false, behind: 0 };
      for (const letter of kept) {
        const at = { name: letter.projection, version: letter.version };
        await sql.transaction(async (transaction) => {
          await holdPartition(transaction, at, letter);
          await removeLetters(transaction, at, letter, [letter.offset]);
        });
      }
      for (const letter of images) await settle(log, letter, "dropped");
      const keys = new Map(kept.map((letter) => [`${letter.projection}/${letter.key}`, letter]));
      let behind = 0;
      for (const { projection, topic, key } of keys.values()) {
        behind += await countLiveLetters(live, { projection, topic, key });
      }
      return { letters, dropped: true, behind };
    },
  }),
};

/**
 * The keys to be redriven, those of a projection before those of the ones that come after it: a feed
 * finds the post in the read model.
 */
async function dueKeys(engines: OperatorEngines, selected: Selection) {
  if (!takesProjections(selected)) return [];
  const { live, sql } = engines;
  await ensureControl(sql);
  const [letter] = selected.id === undefined ? [] : await liveLetters(live, filterOf(selected), 1);
  if (selected.id !== undefined && !letter) return [];
  const filter = letter
    ? { projection: letter.projection, topic: letter.topic, key: letter.key }
    : filterOf(selected);
  const keys = await parkedKeysOf(live, filter);
  if (keys.length === 0) return [];
  const projections = await liveProjections(engines);
  for (const { name, revision } of createDefinitions(engines)) {
    const live = (await versionsOf(sql, name)).find((row) => row.live);
    const concerned = keys.some((key) => key.projection === name);
    if (!concerned || live?.revision === revision) continue;
    throw new Refused(
      `${name} v${live?.version} was made by revision ${live?.revision}, and this program is of ` +
        `revision ${revision}: redrive with the release that made it, or rebuild it`,
    );
  }
  return projections.flatMap((projection) => {
    const its = keys.filter((key) => key.projection === projection.name);
    return its.map((parked) => ({ projection, parked, projections }));
  });
}

function takesProjections({ id, parkedBy }: Selection): boolean {
  return parkedBy !== imageWorker && !id?.startsWith(`${imageWorker}/`);
}

function filterOf({ id, key, parkedBy: projection }: Selection) {
  if (id !== undefined) return placeOf(id);
  return { ...(projection !== undefined && { projection }), ...(key !== undefined && keyOf(key)) };
}

/** `posts/<key>`, or the key alone. */
function keyOf(text: string) {
  const [, topic, key] = /^([a-z-]+)\/(.+)$/s.exec(text) ?? [];
  return topic !== undefined && key !== undefined ? { topic, key } : { key: text };
}

function placeOf(id: string) {
  const [, projection, topic, partition, offset] =
    /^([a-z_-]+)\/([a-z-]+)\/(\d+)\/(\d+)$/.exec(id) ?? [];
  if (projection === undefined || topic === undefined) {
    throw new Refused(`${id} is not the id of a letter, such as read_model/posts/3/1234`);
  }
  return { projection, topic, partition: Number(partition), offset: Number(offset) };
}

function idOf(
  parkedBy: string,
  { topic, partition, offset }: { topic: string; partition: number; offset: number },
): string {
  return `${parkedBy}/${topic}/${partition}/${offset}`;
}

function letterOf({ projection, parkedAt, ...letter }: KeptLetter): Letter {
  const { topic, key, category, message } = letter;
  return {
    id: idOf(projection, letter),
    parkedBy: projection,
    ...{ topic, key, category, message },
    parkedAt: parkedAt.toISOString(),
  };
}

async function imageLetters(
  log: OperatorEngines["log"],
  { id, key, parkedBy }: Selection,
  signal: Told["signal"],
): Promise<LogRecord[]> {
  if (parkedBy !== undefined && parkedBy !== imageWorker) return [];
  if (id !== undefined && !id.startsWith(`${imageWorker}/`)) return [];
  const wanted: { topic?: string; key?: string } = key === undefined ? {} : keyOf(key);
  return (await openLetters(log, signal)).filter((letter) =>
    (id === undefined || idOf(imageWorker, letter) === id) &&
    (wanted.key === undefined || wanted.key === letter.key) &&
    (wanted.topic === undefined || wanted.topic === letter.topic || wanted.topic === "media")
  );
}

function imageLetterOf(letter: LogRecord): Letter {
  const { topic, key, timestamp } = letter;
  return {
    id: idOf(imageWorker, letter),
    parkedBy: imageWorker,
    ...{ topic, key, ...reasonOf(letter) },
    parkedAt: new Date(timestamp).toISOString(),
  };
}

/** As it lies in the log: personal text stays sealed. */
function shown({ headers, value, timestamp }: LogRecord) {
  let data: unknown = value;
  try {
    data = JSON.parse(value);
  } catch {
    // It is shown as the text that it is.
  }
  return {
    type: headers.ce_type ?? null,
    appendedAt: new Date(timestamp).toISOString(),
    headers,
    data: data as z.core.util.JSONType,
  };
}
