import assert from "node:assert/strict";
import { newId } from "../../infra/event-log/ids.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import type { Output } from "../../apps/operator/operations.ts";
import { schemaOf } from "../../projections/runner/live-schemas.ts";
import { Random } from "../photos/random.ts";
import { missingFor } from "../stack/available.ts";
import { accountId } from "./main-job.ts";
import { type Rates, Society, type Traffic } from "./society.ts";
import { servers, startStack } from "./stack.ts";
import { type Ended, startTask, type Task } from "./task.ts";
import { until } from "./until.ts";

/**
 * Projections are made anew by the task that operators run, on the product as it runs in production,
 * while people write and read. What is asked: no request fails, none is answered with what was before
 * its own write, and what is made anew is what was there.
 */
const missing = await missingFor([...servers, "tests"]);
if (missing.length > 0) {
  const names = missing.map(({ name }) => name).join(", ");
  console.log(`left out: a rebuild under load, for want of ${names}`);
} else {
  Deno.test("the stack, under load: rebuilds killed and resumed, a rollback, one called off, a poison event", async (t) => {
    const seed = Math.trunc(Math.random() * 2 ** 31);
    const random = new Random(seed);
    await using stack = await startStack({ compiled: full });
    await using society = await Society.prepare(stack, seed);
    await using operator = new Operator(stack.env);
    const step = async (name: string, body: () => Promise<void>) => {
      const began = performance.now();
      assert.ok(await t.step(name, body), `${name}, with seed ${seed}`);
      console.log(`  took ${seconds(performance.now() - began)}`);
    };
    let rates: Rates = { reads: 0, writes: 0 };
    try {
      await step("in peace", async () => {
        rates = within(await society.capacity(3));
        tell("in peace", (await society.during(rates, () => sleep(full ? warmUp : 8_000)))[1]);
      });

      await step("the read model, killed five times on the way", async () => {
        const [rebuilt, traffic] = await society.during(
          rates,
          () => rebuildKilled(operator, society, random),
        );
        tell(`${rebuilt.seconds.toFixed(1)} s of the last of six runs`, traffic);
        assert.deepEqual([rebuilt.version, rebuilt.previous, rebuilt.resumed], [2, 1, true]);
        assert.deepEqual(rebuilt.differences, { count: 0, some: [] });
      });

      await step("feeds, then manifests", async () => {
        for (const projection of ["feeds", "manifests"]) {
          const [rebuilt, traffic] = await society.during(
            rates,
            () => operator.rebuild(projection),
          );
          tell(`${projection}, ${rebuilt.seconds.toFixed(1)} s`, traffic);
          assert.deepEqual([rebuilt.version, rebuilt.differences?.count], [2, 0]);
        }
      });

      await step("rolled back", async () => {
        const [, traffic] = await society.during(rates, async () => {
          const { code, told } = await operator.run("rollback", "read_model", "--json");
          assert.equal(code, 0, told);
        });
        tell("rolled back", traffic);
        await until("v2 stands still", async () => {
          const states = (await operator.status("read_model")).map(({ version, state }) =>
            `v${version} ${state}`
          );
          return states.join() === "v1 live,v2 kept";
        });
      });

      await step("verified", async () => {
        await society.load.assertFeed();
        for (const projection of ["read_model", "feeds"]) {
          const { code, out, told } = await operator.run("verify", projection);
          assert.equal(code, 0, out + told);
          assert.match(out, /no differences/);
        }
      });

      await step("called off", async () => {
        for (const when of [random.next(), "followed"] as const) {
          await calledOff(operator, society, when);
        }
      });

      await step("a poison event", () => poisoned(operator, society));
    } catch (error) {
      console.error(await stack.told());
      throw error;
    }
  });
}

const full = Deno.env.get("REBUILD_LIVE") === "full";
/** What is asked for in a second, posts among the writes. */
const asked: Rates = { reads: 1_000, writes: 200 };
/** Milliseconds in which programs that have just been started become as fast as they are. */
const warmUp = 60_000;
/** As many at least, posts and what is looked for at once. */
const fewest = 20;

/**
 * What is asked for, or what takes no more than a quarter of these cores' time, which other tests need
 * too; with `REBUILD_LIVE=full` what is asked for in any case.
 */
function within({ reads, writes }: Rates): Rates {
  const some = Math.min(asked.reads, reads / 20);
  const left = Math.max(fewest, (1 / 4 - some / reads) * writes);
  const rates = full ? asked : { reads: some, writes: Math.min(asked.writes, left) };
  console.log(
    `${Math.round(reads)} reads or ${Math.round(writes)} writes a second at most; ` +
      `now ${Math.round(rates.reads)} and ${Math.round(rates.writes)}`,
  );
  return rates;
}

/** Asks for it until it has ended, after five kills: four in the filling, one when it is followed. */
async function rebuildKilled(
  operator: Operator,
  society: Society,
  random: Random,
): Promise<Output<"projections.rebuild">> {
  const moments = [
    ...[0, 1, 2, 3].map((fourth) => (fourth + random.next()) / 4),
    "followed" as const,
  ];
  for (const [nth, moment] of moments.entries()) {
    const task = operator.start("rebuild", "read_model", "--json");
    await reached(society, "read_model", 2, moment, task);
    task.signal("SIGKILL");
    await task.ended;
    if (nth === 0) {
      const { code, told } = await operator.run("rebuild", "read_model", "--json");
      assert.deepEqual([code, /is being filled by another process/.test(told)], [2, true], told);
      await until("it is let go", () => isFree(society, "read_model", 2));
    } else await letGo(society, "read_model", 2);
  }
  return await operator.rebuild("read_model");
}

/** When a version that is being made has so large a share of the live one's records, or is followed. */
async function reached(
  { sql }: Society,
  projection: string,
  version: number,
  moment: number | "followed",
  task: Task,
): Promise<void> {
  let ended: Ended | undefined;
  task.ended.then((how) => ended = how);
  await until(`v${version} is at ${moment}`, async () => {
    if (ended) assert.fail(`it ended before with ${ended.code}: ${ended.told}${ended.out}`);
    const [row] = await sql.query<{ state: string; share: number }>(
      `SELECT v.state, (
         SELECT sum(next_offset) FILTER (WHERE c.version = v.version)::float8 /
           sum(next_offset) FILTER (WHERE c.version = l.version)::float8
         FROM projections.checkpoints AS c WHERE c.projection = v.projection
       ) AS share
       FROM projections.versions AS v JOIN projections.live AS l USING (projection)
       WHERE v.projection = $1 AND v.version = $2 AND v.taken_until > clock_timestamp()`,
      [projection, version],
    );
    if (moment === "followed") return row?.state === "followed";
    return row !== undefined && row.share >= moment;
  });
}

async function isFree({ sql }: Society, projection: string, version: number): Promise<boolean> {
  const taken = await sql.query(
    `SELECT FROM projections.versions
     WHERE projection = $1 AND version = $2 AND taken_until > clock_timestamp()`,
    [projection, version],
  );
  return taken.length === 0;
}

/** What time does after a kill, in no time. */
async function letGo({ sql }: Society, projection: string, version: number): Promise<void> {
  await sql.query(
    `UPDATE projections.versions SET taken_until = '-infinity'
     WHERE projection = $1 AND version = $2`,
    [projection, version],
  );
}

async function calledOff(
  operator: Operator,
  society: Society,
  moment: number | "followed",
): Promise<void> {
  const task = operator.start("rebuild", "read_model", "--json");
  await reached(society, "read_model", 3, moment, task);
  task.signal("SIGINT");
  const { code, told } = await task.ended;
  assert.deepEqual([code, told.trim()], [130, "Called off."], `at ${moment}`);
  assert.deepEqual(await traces(society, "read_model", 3), []);
  // Projectors that had begun to follow it have given it up by then.
  await sleep(2_500);
  assert.deepEqual(await traces(society, "read_model", 3), []);
}

/** What there is of a version, of whatever kind. */
async function traces({ sql }: Society, projection: string, version: number): Promise<unknown[]> {
  return await sql.query(
    `SELECT 'schema' AS kind FROM pg_namespace WHERE nspname = $3
     UNION ALL SELECT 'migrations' FROM public.schema_migrations WHERE schema = $3
     UNION ALL SELECT 'version' FROM projections.versions WHERE projection = $1 AND version = $2
     UNION ALL SELECT 'checkpoint' FROM projections.checkpoints WHERE projection = $1 AND version = $2
     UNION ALL SELECT 'dead letter' FROM projections.dead_letters WHERE projection = $1 AND version = $2`,
    [projection, version, schemaOf(projection, version)],
  );
}

/** A record that no release can read yet, behind a post of somebody who is there. */
async function poisoned(operator: Operator, society: Society): Promise<void> {
  const { log, sealer, readYourWrites: { writer, reader, mediaId } } = society;
  const { postId } = await writer.createPost({ mediaIds: [mediaId], caption: "Dawn" });
  const caption = { postId, authorId: accountId(writer), caption: "Dusk" };
  const time = new Date().toISOString();
  const type = "CaptionChanged";
  const record = await encodeEvent({ id: newId(), type, time, data: caption }, sealer);
  const future = { ...record.headers, ce_type: "shutterlog.CaptionChanged.v9" };
  const [place] = await log.append([{ ...record, headers: future }]);
  assert.ok(place);
  await writer.editPost(postId, "Noon");

  const key = `posts/${postId}`;
  await until("it is parked", async () => {
    const parked = (await operator.status()).filter(({ state, parkedRecords }) =>
      state === "live" && parkedRecords === 2
    );
    assert.ok(parked.every(({ parked }) => parked.join() === key));
    return parked.map(({ projection }) => projection).join() === "read_model,cards,feeds";
  }, 30_000);
  const status = await operator.run("status");
  assert.equal(status.code, 1);
  assert.ok(status.out.includes(key), status.out);
  await society.readYourWrites.round();
  assert.equal((await reader.post(postId)).caption, "Dawn");

  const { code, told } = await operator.run("rebuild", "read_model");
  const where = `posts/${place.partition} at offset ${place.offset} (key ${postId})`;
  assert.equal(code, 2);
  assert.ok(told.includes(`cannot apply ${where}: unknown-version: `), told);
  await society.readYourWrites.round();
  const versions = (await operator.status("read_model")).map((one) => [one.version, one.state]);
  assert.deepEqual(versions, [[1, "live"], [2, "kept"], [3, "filling"]]);
  const dropped = await operator.run("drop", "read_model", "3");
  assert.equal(dropped.code, 0, dropped.told);
}

/** Runs `deno task projections` against the stack. What still runs in the end is killed. */
class Operator implements AsyncDisposable {
  readonly #running = new Set<Task>();

  constructor(readonly env: Readonly<Record<string, string>>) {}

  start(...args: readonly string[]): Task {
    const task = startTask(["projections", ...args], this.env);
    this.#running.add(task);
    task.ended.finally(() => this.#running.delete(task));
    return task;
  }

  run(...args: readonly string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  async rebuild(projection: string): Promise<Output<"projections.rebuild">> {
    const { code, out, told } = await this.run("rebuild", projection, "--json");
    assert.equal(code, 0, out + told);
    return JSON.parse(out);
  }

  async status(...names: readonly string[]): Promise<Output<"projections.status">> {
    const { out, told } = await this.run("status", ...names, "--json");
    assert.notEqual(out, "", told);
    return JSON.parse(out);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const task of this.#running) task.signal("SIGKILL");
    await Promise.all(Array.from(this.#running, ({ ended }) => ended));
  }
}

/** Milliseconds in which a post must be in a follower's feed, whatever goes on. */
const usualLag = 5_000;

function tell(when: string, { reads, writes, posts, awaited, longestAwaited }: Traffic): void {
  const { p50, p99, max } = posts.fresh;
  const perSecond = (count: number) => Math.round(count / reads.seconds);
  console.log(
    `${when}: ${perSecond(reads.answers)} reads and ` +
      `${perSecond(writes.answers + posts.posts)} writes a second for ${
        Math.round(reads.seconds)
      } s, ` +
      `p99 ${Math.round(reads.p99)} and ${Math.round(writes.p99)} ms; ${posts.posts} posts ` +
      `shown after p50 ${Math.round(p50)}, p99 ${Math.round(p99)}, max ${Math.round(max)} ms; ` +
      `${awaited} awaited writes shown at once, after ${Math.round(longestAwaited)} ms at most`,
  );
  assert.ok(p99 < usualLag, `a post was shown after ${p99} ms only`);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
