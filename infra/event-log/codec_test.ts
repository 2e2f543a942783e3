import assert from "node:assert/strict";
import { UnreadableEvent } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { decodeEvent, encodeEvent, SealBroken, type TextSealer } from "./codec.ts";

const id = (n: number) => `01900000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const [author, post, media, otherMedia] = [id(1), id(2), id(3), id(4)];

/** Marks a text with all that it is sealed under, so that a test sees what the codec passed. */
const marking: TextSealer = {
  seal: (owner, context, text) => Promise.resolve(`<${owner}|${context}|${text}>`),
  open: (owner, context, sealed) => {
    const text = sealed.slice(`<${owner}|${context}|`.length, -1);
    return sealed === `<${owner}|${context}|${text}>`
      ? Promise.resolve(text)
      : Promise.reject(new SealBroken("moved"));
  },
};
const keyless: TextSealer = { ...marking, open: () => Promise.resolve(null) };

const created: DomainEvent = {
  id: id(9),
  type: "PostCreated",
  time: "2026-01-02T03:04:05.678Z",
  data: {
    postId: post,
    authorId: author,
    mediaIds: [media, otherMedia],
    caption: "Dawn",
    altTexts: { [media]: "A ridge" },
  },
};

const unreadable = (category: UnreadableEvent["category"]) => (error: unknown) =>
  error instanceof UnreadableEvent && error.category === category;

Deno.test("encodeEvent: is a CloudEvent in binary mode, keyed by its aggregate", async () => {
  const record = await encodeEvent(
    created,
    marking,
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  );
  assert.equal(record.topic, "posts");
  assert.equal(record.key, post);
  assert.deepEqual(record.headers, {
    "content-type": "application/json; charset=utf-8",
    ce_specversion: "1.0",
    ce_id: id(9),
    ce_source: "/shutterlog",
    ce_type: "shutterlog.PostCreated.v1",
    ce_subject: post,
    ce_time: "2026-01-02T03:04:05.678Z",
    ce_traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  });
});

Deno.test("encodeEvent: seals every personal text under its owner, event and field; ids stay readable", async () => {
  const { value } = await encodeEvent(created, marking);
  assert.deepEqual(JSON.parse(value), {
    postId: post,
    authorId: author,
    mediaIds: [media, otherMedia],
    caption: `<${author}|${id(9)}/caption|Dawn>`,
    altTexts: { [media]: `<${author}|${id(9)}/altTexts/${media}|A ridge>` },
  });
});

Deno.test("decodeEvent: reads back what was encoded", async () => {
  assert.deepEqual(await decodeEvent(await encodeEvent(created, marking), marking), created);
});

Deno.test("decodeEvent: without the owner's key every personal text is null, the rest stays", async () => {
  const decoded = await decodeEvent(await encodeEvent(created, marking), keyless);
  assert.deepEqual(decoded.data, { ...created.data, caption: null, altTexts: { [media]: null } });
});

Deno.test("decodeEvent: says what is wrong with a record", async () => {
  const record = await encodeEvent(created, marking);
  const read = (change: Partial<typeof record>) => decodeEvent({ ...record, ...change }, marking);
  const data = JSON.parse(record.value);
  await assert.rejects(read({ headers: {} }), unreadable("malformed-record"));
  await assert.rejects(read({ value: "{" }), unreadable("malformed-record"));
  await assert.rejects(read({ topic: "media" }), unreadable("malformed-record"));
  await assert.rejects(read({ key: author }), unreadable("malformed-record"));
  await assert.rejects(
    read({ headers: { ...record.headers, ce_type: "shutterlog.PostCreated.v99" } }),
    unreadable("unknown-version"),
  );
  await assert.rejects(
    read({ value: JSON.stringify({ ...data, mediaIds: [] }) }),
    unreadable("invalid-data"),
  );
  await assert.rejects(
    read({ value: JSON.stringify({ ...data, caption: data.altTexts[media] }) }),
    unreadable("invalid-data"),
    "a sealed text moved to another field",
  );
});

Deno.test("decodeEvent: trouble with reaching a key is not the record's fault", async () => {
  const record = await encodeEvent(created, marking);
  const down = { ...marking, open: () => Promise.reject(new TypeError("connection refused")) };
  await assert.rejects(decodeEvent(record, down), TypeError);
});
