import assert from "node:assert/strict";
import fc from "fast-check";
import { Bench, type LogUnderTest } from "./contract_bench.ts";
import { partitionOf } from "./partitioner.ts";
import {
  type EventLog,
  LogUnavailable,
  maximumRecordBytes,
  type NewRecord,
  RecordTooLarge,
  TopicMismatch,
} from "./port.ts";
import { recordBytes } from "./size.ts";

/**
 * What every adapter of the event log must hold. Nothing is assumed of time stamps, of the size of
 * batches, or of how soon a group rebalances.
 */
export function testEventLog(name: string, create: () => Promise<LogUnderTest>): void {
  function must(claim: string, body: (bench: Bench) => Promise<void>): void {
    Deno.test(`${name} ${claim}`, async () => {
      await using bench = new Bench(await create());
      await body(bench);
    });
  }

  /** For what takes another process of the log. */
  function mustAcrossProcesses(claim: string, body: (bench: Bench) => Promise<void>): void {
    must(claim, async (bench) => {
      if ("missing" in bench.elsewhere) console.log(`not run: ${bench.elsewhere.missing}`);
      else await body(bench);
    });
  }

  must("ensureTopics: is idempotent, and racing clients agree", async (bench) => {
    const logs = [await bench.open(), await bench.open(), await bench.open()];
    const topics = [bench.newTopicSpec(3), bench.newTopicSpec(1)];
    await Promise.all(logs.map((log) => log.ensureTopics(topics)));
    await logs[0]?.ensureTopics(topics);
    const names = topics.map((topic) => topic.name);
    const watermarks = await logs[1]?.watermarks(names);
    assert.deepEqual(watermarks?.map(({ partition }) => partition), [0, 1, 2, 0]);
  });

  must(
    "ensureTopics: another number of partitions is an error that names the topic",
    async (bench) => {
      const log = await bench.open();
      const topic = await bench.topic(log, 3);
      await assert.rejects(
        log.ensureTopics([{ name: topic, partitions: 4 }]),
        (error) => error instanceof TopicMismatch && error.message.includes(topic),
      );
      assert.equal((await log.watermarks([topic])).length, 3);
    },
  );

  must(
    "ensureTopics: where any number does, a topic keeps what it was made with",
    async (bench) => {
      const log = await bench.open();
      const lane = { name: await bench.topic(log, 3), partitions: 2, anyNumber: true } as const;
      await log.ensureTopics([lane]);
      assert.deepEqual(await log.inspectTopics([lane]), []);
      assert.equal((await log.watermarks([lane.name])).length, 3);
    },
  );

  must(
    "inspectTopics: names what differs and what is not there, and creates nothing",
    async (bench) => {
      const log = await bench.open();
      const topic = await bench.topic(log, 3);
      const absent = bench.newTopicSpec(2);
      assert.deepEqual(await log.inspectTopics([{ name: topic, partitions: 3 }]), []);
      const problems = await log.inspectTopics([{ name: topic, partitions: 4 }, absent]);
      assert.deepEqual(problems.map(({ topic, absent }) => [topic, absent]), [
        [topic, false],
        [absent.name, true],
      ]);
      for (const { topic, message } of problems) assert.ok(message.includes(topic), message);
      await assert.rejects(log.watermarks([absent.name]), TopicMismatch);
    },
  );

  must("append: says where each record lies, in the order given", async (bench) => {
    const log = await bench.open();
    const [a, b] = [await bench.topic(log, 1), await bench.topic(log, 4)];
    const records = [record(a, "x", "0"), record(b, "y", "0"), record(a, "z", "1")];
    const appended = await log.append(records);
    assert.deepEqual(appended, [
      { topic: a, partition: 0, offset: 0 },
      { topic: b, partition: partitionOf("y", 4), offset: 0 },
      { topic: a, partition: 0, offset: 1 },
    ]);
    assert.deepEqual(await log.append([]), []);
    assert.deepEqual(await bench.values(log, a, 0), ["0", "1"]);
  });

  must(
    "append: a key lies in the partition Kafka's default partitioner gives it",
    async (bench) => {
      const log = await bench.open();
      const topic = await bench.topic(log, 16);
      // murmur2 of the key as published in Kafka's UtilsTest.
      const hashes = {
        "21": -973932308,
        foobar: -790332482,
        "a-little-bit-long-string": -985981536,
      };
      for (const [key, hash] of Object.entries(hashes)) {
        const [appended] = await log.append([record(topic, key, "")]);
        assert.equal(appended?.partition, (hash & 0x7fffffff) % 16, key);
      }
    },
  );

  must(
    "append: of racing clients leaves no gap, and keeps each caller's order in a key",
    async (bench) => {
      const clients = 8;
      const calls = 120;
      const first = await bench.open();
      const topic = await bench.topic(first, 4);
      const logs = [first];
      while (logs.length < clients) logs.push(await bench.open());

      const acknowledged = await Promise.all(logs.map(async (log, client) => {
        const places: string[] = [];
        for (let call = 0; call < calls; call++) {
          const keys = [`shared-${call % 5}`, `own-${client}`, `shared-${(call + 1) % 5}`];
          const appended = await log.append(
            keys.map((key, index) => record(topic, key, `${client}:${call * keys.length + index}`)),
          );
          places.push(...appended.map(({ partition, offset }) => `${partition}:${offset}`));
        }
        return places;
      }));

      const places = acknowledged.flat();
      assert.equal(new Set(places).size, clients * calls * 3, "every place was given once");
      const records = await bench.gaplessTopic(first, topic);
      assert.equal(records.length, places.length);
      for (const ofKey of Map.groupBy(records, ({ key }) => key).values()) {
        for (const [client, ofCaller] of Map.groupBy(ofKey, ({ value }) => value.split(":")[0])) {
          const sequence = ofCaller.map(({ value }) => Number(value.split(":")[1]));
          assert.deepEqual(sequence, sequence.toSorted((a, b) => a - b), `of client ${client}`);
        }
      }
    },
  );

  must("append: many calls at once are each told their own places", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 2);
    const told = await Promise.all(
      Array.from({ length: 1_000 }, async (_, index) => {
        const [appended] = await log.append([record(topic, `key-${index % 20}`, `${index}`)]);
        return [`${appended?.partition}:${appended?.offset}`, `${index}`] as const;
      }),
    );
    const records = await bench.gaplessTopic(log, topic);
    const found = records.map((r) => [`${r.partition}:${r.offset}`, r.value] as const);
    assert.deepEqual(new Map(told), new Map(found));
    for (const ofKey of Map.groupBy(records, ({ key }) => key).values()) {
      const sequence = ofKey.map(({ value }) => Number(value));
      assert.deepEqual(sequence, sequence.toSorted((a, b) => a - b), "the order they were made in");
    }
  });

  must("append: text, headers and nothing at all come back as they were", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    const written = [
      record(topic, "k", "", {}),
      record(topic, "ключ 📷", "naïve café 北京 👩‍👩‍👧 \uFEFF", { ce_id: "1", "x-ü": "日本 🗻" }),
      record(topic, "nul", "a\u0000b\u0000", { empty: "", lines: "a\r\nb\tc", quote: '"\\' }),
      record(topic, "json", JSON.stringify({ text: "\u2028 \"'\\" }), { __proto__x: "y" }),
    ];
    await log.append(written);
    const read = await bench.records(log, topic, 0);
    assert.deepEqual(
      read.map(({ key, value, headers }) => ({ key, value, headers: { ...headers } })),
      written.map(({ key, value, headers }) => ({ key, value, headers })),
    );
    assert.ok(read.every(({ timestamp }) => Number.isSafeInteger(timestamp) && timestamp > 0));
  });

  must("append: takes 1 MiB with key and headers, and not a byte more", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    const head = record(topic, "schlüssel", "", { größe: "1 MiB" });
    const largest = { ...head, value: "x".repeat(maximumRecordBytes - recordBytes(head)) };
    await log.append([largest]);
    await assert.rejects(log.append([{ ...largest, value: largest.value + "x" }]), RecordTooLarge);
    const wide = { ...head, value: "ü".repeat(maximumRecordBytes / 2) };
    await assert.rejects(log.append([wide]), RecordTooLarge, "bytes count, not characters");
    assert.deepEqual(await bench.values(log, topic, 0), [largest.value]);
  });

  must(
    "append: a bad record fails its own call, before anything of it is written",
    async (bench) => {
      const log = await bench.open();
      const topic = await bench.topic(log, 1);
      const tooLarge = record(topic, "k", "x".repeat(maximumRecordBytes + 1));
      const [before, large, nowhere, after] = await Promise.allSettled([
        log.append([record(topic, "k", "before")]),
        log.append([record(topic, "k", "with the large one"), tooLarge]),
        log.append([record(topic, "k", "with the lost one"), record(`${topic}-none`, "k", "")]),
        log.append([record(topic, "k", "after")]),
      ]);
      assert.deepEqual(
        [before, large, nowhere, after].map((call) => call?.status),
        ["fulfilled", "rejected", "rejected", "fulfilled"],
      );
      assert.deepEqual(await bench.values(log, topic, 0), ["before", "after"]);
    },
  );

  must("append: outlives closing and opening again", async (bench) => {
    const first = await bench.open();
    const topic = await bench.topic(first, 2);
    await first.append(numbered(topic, 50));
    const before = await bench.gaplessTopic(first, topic);
    await first.close();
    await assert.rejects(first.append(numbered(topic, 1)), LogUnavailable);

    const second = await bench.open();
    assert.deepEqual(await bench.gaplessTopic(second, topic), before);
    await second.append(numbered(topic, 50));
    assert.equal((await bench.gaplessTopic(second, topic)).length, 100);
  });

  must("read: begins at any offset and finds nothing at the end or beyond it", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    assert.deepEqual(await bench.records(log, topic, 0), []);
    assert.deepEqual(await bench.records(log, topic, 0, 5), []);
    await log.append(numbered(topic, 25));
    for (const from of [0, 1, 7, 24, 25, 26, 1_000]) {
      const offsets = (await bench.records(log, topic, 0, from)).map(({ offset }) => offset);
      const expected = Array.from({ length: Math.max(0, 25 - from) }, (_, index) => from + index);
      assert.deepEqual(offsets, expected, `from ${from}`);
    }
  });

  must("read: hands out no batch larger than asked for, and none empty", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    await log.append(numbered(topic, 25));
    const sizes: number[] = [];
    const batches = log.read({ topic, partition: 0 }, 0, { batchSize: 10 });
    for await (const batch of batches) sizes.push(batch.length);
    assert.ok(sizes.every((size) => size > 0 && size <= 10), `${sizes}`);
    assert.equal(sizes.reduce((sum, size) => sum + size), 25);
  });

  must("read: ends at the high watermark as it was when asked", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    await log.append(numbered(topic, 20));
    let count = 0;
    for await (const batch of log.read({ topic, partition: 0 }, 0, { batchSize: 5 })) {
      if (count === 0) await log.append(numbered(topic, 20));
      count += batch.length;
    }
    assert.equal(count, 20);
  });

  must("read: leaves off with the signal's reason", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    await log.append(numbered(topic, 500));
    const controller = new AbortController();
    const reason = new Error("enough");
    let count = 0;
    await assert.rejects(async () => {
      const options = { batchSize: 10, signal: controller.signal };
      for await (const batch of log.read({ topic, partition: 0 }, 0, options)) {
        count += batch.length;
        controller.abort(reason);
      }
    }, (error) => error === reason);
    assert.ok(count < 500, "it did not read on to the end");
  });

  must("read: while others write, sees a prefix without holes", async (bench) => {
    const [reader, ...writers] = [await bench.open(), await bench.open(), await bench.open()];
    const topic = await bench.topic(reader, 1);
    let writing = true;
    const written = Promise.all(writers.map(async (log) => {
      for (let call = 0; call < 150; call++) await log.append(numbered(topic, 5));
    })).finally(() => writing = false);
    let seen = 0;
    while (writing) {
      const offsets = (await bench.records(reader, topic, 0)).map(({ offset }) => offset);
      assert.deepEqual(offsets, offsets.map((_, index) => index));
      assert.ok(offsets.length >= seen, "what was there once stays");
      seen = offsets.length;
    }
    await written;
    assert.equal((await bench.records(reader, topic, 0)).length, 1_500);
  });

  must("watermarks: are the first offset and the next one, of each partition", async (bench) => {
    const log = await bench.open();
    const [a, b] = [await bench.topic(log, 3), await bench.topic(log, 1)];
    await log.append(Array.from({ length: 7 }, (_, index) => record(a, "same", `${index}`)));
    const partition = partitionOf("same", 3);
    assert.deepEqual(
      await log.watermarks([b, a]),
      [
        { topic: b, partition: 0, low: 0, high: 0 },
        ...[0, 1, 2].map((p) => ({
          topic: a,
          partition: p,
          low: 0,
          high: p === partition ? 7 : 0,
        })),
      ],
    );
  });

  must(
    "append, read, watermarks: behave like lists in memory, in any order of calls",
    async (bench) => {
      const logs = [await bench.open(), await bench.open()];
      const partitions = 3;
      const client = fc.nat({ max: 1 });
      const step = fc.oneof(
        fc.record({
          call: fc.constant("append" as const),
          client,
          keys: fc.array(fc.nat({ max: 9 }), { maxLength: 8 }),
        }),
        fc.record({
          call: fc.constant("read" as const),
          client,
          partition: fc.nat({ max: 2 }),
          from: fc.nat({ max: 30 }),
        }),
        fc.record({ call: fc.constant("watermarks" as const), client }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const [first] = logs;
          if (!first) return;
          const topic = await bench.topic(first, partitions);
          const model: string[][] = Array.from({ length: partitions }, () => []);
          let count = 0;
          for (const step of steps) {
            const log: EventLog = logs[step.client] ?? first;
            if (step.call === "append") {
              const records = step.keys.map((key) => record(topic, `key-${key}`, `${count++}`));
              const expected = records.map(({ key, value }) => {
                const partition = partitionOf(key, partitions);
                return { topic, partition, offset: (model[partition]?.push(value) ?? 0) - 1 };
              });
              assert.deepEqual(await log.append(records), expected);
            } else if (step.call === "read") {
              const values = await bench.values(log, topic, step.partition, step.from);
              assert.deepEqual(values, model[step.partition]?.slice(step.from));
            } else {
              const highs = (await log.watermarks([topic])).map(({ high }) => high);
              assert.deepEqual(highs, model.map((values) => values.length));
            }
          }
        }),
        { numRuns: 15 },
      );
    },
  );

  must(
    "consume: hands over every record, each partition's in order, in bounded batches",
    async (bench) => {
      const log = await bench.open();
      const [a, b] = [await bench.topic(log, 3), await bench.topic(log, 2)];
      await log.append([...numbered(a, 100), ...numbered(b, 100)]);
      const member = await bench.member(log, { topics: [a, b], maximumBatch: 7 });
      await bench.until(() => member.records.length >= 200, "the first 200 were handled");
      await log.append([...numbered(a, 100), ...numbered(b, 100)]);
      await bench.until(() => member.records.length >= 400, "the next 200 were handled");
      await member.stop();
      assert.ok(member.batches.every((size) => size > 0 && size <= 7), `${member.batches}`);
      assert.deepEqual(member.places(), await bench.places(log, [a, b]));
      member.assertInOrder();
    },
  );

  must("consume: sees what another client appends", async (bench) => {
    const [reader, writer] = [await bench.open(), await bench.open()];
    const topic = await bench.topic(reader, 2);
    const member = await bench.member(reader, { topics: [topic] });
    for (let round = 1; round <= 5; round++) {
      await writer.append(numbered(topic, 4));
      await bench.until(() => member.records.length === round * 4, `round ${round} was handled`);
    }
  });

  must("consume: calls the handler again only after it has resolved", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 4);
    let running = 0;
    const member = await bench.member(log, {
      topics: [topic],
      maximumBatch: 5,
      handle: async () => {
        assert.equal(++running, 1);
        await new Promise((resolve) => setTimeout(resolve));
        running--;
      },
    });
    for (let call = 0; call < 20; call++) await log.append(numbered(topic, 5));
    await bench.until(() => member.records.length >= 100, "all were handled");
    assert.deepEqual(member.errors, []);
  });

  must(
    "consume: when the handler throws the same records come again, and none is skipped",
    async (bench) => {
      const log = await bench.open();
      const topic = await bench.topic(log, 2);
      await log.append(numbered(topic, 40));
      const failed: string[] = [];
      const member = await bench.member(log, {
        topics: [topic],
        maximumBatch: 10,
        handle: (records) => {
          if (failed.length >= 2) return;
          failed.push(records.map((r) => `${r.partition}:${r.offset}`).join());
          throw new Error("not yet");
        },
      });
      await bench.until(() => member.records.length >= 40, "all were handled in the end");
      await member.stop();
      assert.equal(member.errors.length, 2);
      const inFailed = new Set(failed.flatMap((places) => places.split(",")));
      const inTime = new Set(member.records.map((r) => `${r.partition}:${r.offset}`));
      assert.ok([...inFailed].every((place) => inTime.has(place)));
      assert.deepEqual(member.places(), await bench.places(log, [topic]), "each handled once");
      member.assertInOrder();
    },
  );

  must("consume: goes on from what the group has committed, over a restart", async (bench) => {
    const first = await bench.open();
    const topic = await bench.topic(first, 3);
    const group = bench.group();
    await first.append(numbered(topic, 30));
    const before = await bench.member(first, { topics: [topic], group });
    await bench.until(() => before.records.length >= 30, "the first 30 were handled");
    await before.stop();
    await first.close();

    const second = await bench.open();
    await second.append(numbered(topic, 30));
    const after = await bench.member(second, { topics: [topic], group });
    await bench.until(() => after.records.length >= 30, "the next 30 were handled");
    await after.stop();
    const together = [...before.places(), ...after.places()].toSorted();
    assert.deepEqual(together, await bench.places(second, [topic]), "each handled once");
  });

  must("consume: groups do not disturb each other", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 2);
    await log.append(numbered(topic, 20));
    const one = await bench.member(log, { topics: [topic] });
    const other = await bench.member(log, { topics: [topic] });
    await bench.until(() => one.records.length + other.records.length >= 40, "both saw all");
    assert.deepEqual(one.places(), other.places());
  });

  must("consume: startAt overrides what was committed, and undefined does not", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 2);
    const group = bench.group();
    const [zero, one] = [keyOf(0, 2), keyOf(1, 2)];
    const ten = Array.from({ length: 10 }, (_, index) => `${index}`);
    await log.append(
      ten.flatMap((value) => [record(topic, zero, value), record(topic, one, value)]),
    );
    const first = await bench.member(log, { topics: [topic], group });
    await bench.until(() => first.records.length >= 20, "all were handled and committed");
    await first.stop();
    await log.append([record(topic, zero, "10"), record(topic, one, "10")]);

    const second = await bench.member(log, {
      topics: [topic],
      group,
      startAt: (partitions) =>
        Promise.resolve(partitions.map(({ partition }) => partition === 0 ? 4 : undefined)),
    });
    await bench.until(() => second.records.length >= 8, "both partitions were handled to the end");
    await second.stop();
    const offsets = (partition: number) =>
      second.records.filter((r) => r.partition === partition).map(({ offset }) => offset);
    assert.deepEqual(offsets(0), [4, 5, 6, 7, 8, 9, 10]);
    assert.deepEqual(offsets(1), [10]);
  });

  must("consume: two members share, and each record is handled by one of them", async (bench) => {
    const logs = [await bench.open(), await bench.open()];
    const [log] = logs;
    if (!log) return;
    const topic = await bench.topic(log, 4);
    const group = bench.group();
    const members = await Promise.all(
      logs.map((log) => bench.member(log, { topics: [topic], group })),
    );
    await bench.shared(members, topic, 4);
    assert.ok(members.every((member) => member.assigned.length === 2), "they share equally");

    for (let call = 0; call < 20; call++) await log.append(numbered(topic, 20));
    const handled = () => members.reduce((sum, member) => sum + member.records.length, 0);
    await bench.until(() => handled() >= 400, "all were handled");
    await Promise.all(members.map((member) => member.stop()));
    assert.deepEqual(
      members.flatMap((member) => member.places()).toSorted(),
      await bench.places(log, [topic]),
    );
    for (const member of members) {
      assert.ok(member.records.length > 0);
      member.assertInOrder();
    }
  });

  must("consume: when a member leaves, the other takes over where it stopped", async (bench) => {
    const logs = [await bench.open(), await bench.open()];
    const [log] = logs;
    if (!log) return;
    const topic = await bench.topic(log, 4);
    const group = bench.group();
    const [leaver, stayer] = await Promise.all(
      logs.map((log) => bench.member(log, { topics: [topic], group })),
    );
    if (!leaver || !stayer) return;
    await bench.shared([leaver, stayer], topic, 4);
    await log.append(numbered(topic, 100));
    await bench.until(() => leaver.records.length + stayer.records.length >= 100, "all handled");
    await leaver.stop();
    await log.append(numbered(topic, 100));
    await bench.until(() => leaver.records.length + stayer.records.length >= 200, "all handled");
    await stayer.stop();
    assert.deepEqual(
      [...leaver.places(), ...stayer.places()].toSorted(),
      await bench.places(log, [topic]),
      "each handled once",
    );
    stayer.assertInOrder();
  });

  must(
    "consume: a slow handler during a rebalance loses no commit and sets none back",
    async (bench) => {
      const logs = [await bench.open(), await bench.open()];
      const [log, other] = logs;
      if (!log || !other) return;
      const topic = await bench.topic(log, 4);
      const group = bench.group();
      await log.append(Array.from({ length: 4 }, (_, p) => record(topic, keyOf(p, 4), "early")));
      const release = Promise.withResolvers<void>();
      const slow = await bench.member(log, {
        topics: [topic],
        group,
        handle: async (_records, signal) => {
          signal.addEventListener("abort", () => release.resolve());
          await release.promise;
        },
      });
      await bench.until(() => slow.batches.length > 0, "the slow member has a batch in hand");
      const quick = await bench.member(other, { topics: [topic], group });
      // Some logs give the other member its share at once, others when the slow handler has left off.
      bench.until(() => quick.assigned.length > 0, "the other member has its share").then(
        release.resolve,
        release.reject,
      );
      await release.promise;
      await log.append(numbered(topic, 100));
      const all = [slow, quick];
      const expected = await bench.places(log, [topic]);
      await bench.until(
        () => new Set(all.flatMap((member) => member.places())).size === expected.length,
        "all were handled",
      );
      await Promise.all(all.map((member) => member.stop()));

      await log.append(Array.from({ length: 4 }, (_, p) => record(topic, keyOf(p, 4), "late")));
      const heir = await bench.member(log, { topics: [topic], group });
      await bench.until(() => heir.records.length >= 4, "the heir handled what was new");
      assert.deepEqual(heir.records.map(({ value }) => value), ["late", "late", "late", "late"]);
    },
  );

  must("consume: stop tells the handler, waits for it, and commits what it did", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 1);
    const group = bench.group();
    await log.append(numbered(topic, 3));
    const release = Promise.withResolvers<void>();
    let told = false;
    const member = await bench.member(log, {
      topics: [topic],
      group,
      handle: async (_records, signal) => {
        signal.addEventListener("abort", () => told = true);
        await release.promise;
      },
    });
    await bench.until(() => member.batches.length === 1, "the handler has a batch");
    let stopped = false;
    const stopping = member.stop().then(() => stopped = true);
    await bench.until(() => told, "the handler was told");
    assert.equal(stopped, false, "it waits for the handler");
    release.resolve();
    await stopping;
    const done = member.records.length;
    assert.ok(done > 0);

    await log.append([record(topic, "k", "next")]);
    const heir = await bench.member(log, { topics: [topic], group });
    await bench.until(() => heir.records.at(-1)?.value === "next", "the heir reached the end");
    assert.equal(heir.records.length, 3 - done + 1);
    assert.equal(member.batches.length, 1, "nothing was handed over after stop");
  });

  mustAcrossProcesses("append: of racing processes leaves no gap", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 3);
    const processes = ["a", "b", "c", "d"].map((name) =>
      bench.process("append", topic, name, "300")
    );
    const told = await Promise.all(processes.map((process) => process.ended()));
    assert.equal(told.flat().length, 1_200);
    const records = await bench.gaplessTopic(log, topic);
    assert.equal(new Set(records.map(({ value }) => value)).size, 1_200);
    assert.equal(records.length, 1_200);
  });

  mustAcrossProcesses("append: what was acknowledged outlives a kill -9", async (bench) => {
    const log = await bench.open();
    const topic = await bench.topic(log, 3);
    const acknowledged: string[] = [];
    for (let round = 0; round < 10; round++) {
      const process = bench.process("append", topic, `round-${round}`, "100000");
      await process.heard(1 + Math.floor(Math.random() * 200));
      for (const told of await process.kill()) {
        if (told.told === "appended") {
          acknowledged.push(`${topic}:${told.partition}:${told.offset}`);
        }
      }
      const there = new Set(await bench.places(log, [topic]));
      assert.deepEqual(acknowledged.filter((place) => !there.has(place)), [], `round ${round}`);
    }
    assert.equal(new Set(acknowledged).size, acknowledged.length);
    await bench.gaplessTopic(log, topic);
    await log.append(numbered(topic, 10));
    await bench.gaplessTopic(log, topic);
  });

  mustAcrossProcesses(
    "consume: what a killed member had done but not committed comes again",
    async (bench) => {
      const log = await bench.open();
      const topic = await bench.topic(log, 3);
      const group = bench.group();
      await log.append(numbered(topic, 100));
      const process = bench.process("hang", topic, group, "2");
      await process.heardOf((told) => told.told === "hanging");
      const batches = (await process.kill()).flatMap((told) =>
        told.told === "handled" ? [told.values] : []
      );
      const last = batches.at(-1);
      assert.ok(last && last.length > 0);

      const heir = await bench.member(log, { topics: [topic], group });
      const handled = () => new Set([...batches.flat(), ...heir.records.map(({ value }) => value)]);
      const again = () => new Set(heir.records.map(({ value }) => value));
      await bench.until(
        () => handled().size === 100 && last.every((value) => again().has(value)),
        "nothing was lost",
      );
      await heir.stop();
      heir.assertInOrder();
    },
  );
}

function record(
  topic: string,
  key: string,
  value: string,
  headers: Record<string, string> = {},
): NewRecord {
  return { topic, key, value, headers };
}

/** Records of many keys, so of all partitions. */
function numbered(topic: string, count: number): NewRecord[] {
  return Array.from({ length: count }, (_, index) => record(topic, `key-${index}`, `${index}`));
}

/** A key that lies in a given partition. */
function keyOf(partition: number, partitions: number): string {
  let index = 0;
  while (partitionOf(`key-${index}`, partitions) !== partition) index++;
  return `key-${index}`;
}
