import assert from "node:assert/strict";
import { ShutterlogClient } from "../client/client.ts";
import { drawPhoto } from "../photos/photo.ts";
import { OtlpReceiver, type Span } from "../../infra/telemetry/testing/otlp-receiver.ts";
import { withServer } from "./server.ts";
import { until } from "./until.ts";

const password = "correct horse battery";

/** What handles events of the log, and the group that it does it in. */
const groups = {
  readModel: "projector.read_model.v1",
  manifests: "projector.manifests.v1",
  cards: "projector.cards.v1",
  feeds: "projector.feeds.v1",
  imageWorker: "image-worker",
};

/** A client whose requests are of traces that it has begun, as a phone or a gateway would. */
class TracedClient extends ShutterlogClient {
  traceId = "";

  override request(...[method, path, options]: Parameters<ShutterlogClient["request"]>) {
    this.traceId = crypto.getRandomValues(new Uint8Array(16)).toHex();
    const parent = crypto.getRandomValues(new Uint8Array(8)).toHex();
    const traceparent = `00-${this.traceId}-${parent}-01`;
    return super.request(method, path, {
      ...options,
      headers: { ...options?.headers, traceparent },
    });
  }
}

const named = (spans: readonly Span[], name: string) => spans.filter((span) => span.name === name);

function handled(spans: readonly Span[], type: string): string[] {
  return spans
    .filter(({ attributes }) =>
      attributes["messaging.operation.type"] === "process" &&
      attributes["shutterlog.event.type"] === type
    )
    .map(({ attributes }) => String(attributes["messaging.consumer.group.name"]))
    .toSorted();
}

/** From every span to the one that came in, each through its parent. */
function assertConnected(spans: readonly Span[], root: Span): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  for (const span of spans) {
    let at: Span | undefined = span;
    while (at && at !== root) at = byId.get(at.parentSpanId);
    assert.ok(at, `${span.name} hangs below ${root.name}`);
  }
}

Deno.test("tracing: one trace shows a request, its append and what each reader of the log made of it", async (t) => {
  await using receiver = new OtlpReceiver();
  await withServer(async ({ baseUrl, output }) => {
    const ada = new TracedClient(baseUrl);
    const photo = await drawPhoto({ seed: 7, format: "1:1" });
    const settled = (traceId: string, done: (spans: readonly Span[]) => boolean) =>
      until("the trace is whole", () => Promise.resolve(done(receiver.ofTrace(traceId))));

    await t.step("an account, which a relay appends after the request", async () => {
      await ada.register({ handle: "ada", password, displayName: "Ada of the traces" });
      const { traceId } = ada;
      await settled(
        traceId,
        (spans) =>
          handled(spans, "AccountRegistered").length >= 3 &&
          named(spans, "POST /v1/accounts").length === 1,
      );
      const spans = receiver.ofTrace(traceId);
      const [request] = named(spans, "POST /v1/accounts");
      assert.ok(request);
      assert.equal(named(spans, "append accounts").length, 1);
      assertConnected(spans, request);
    });

    let mediaId = "";
    await t.step("an upload, with the image worker and what it leads to", async () => {
      const signed = await ada.signUpload({
        contentType: photo.contentType,
        byteLength: photo.bytes.length,
      });
      const signing = ada.traceId;
      await ada.put(signed, photo.bytes);
      await ada.complete(signed.mediaId);
      mediaId = signed.mediaId;
      const { traceId } = ada;
      await ada.waitForMedia(mediaId);
      const complete = "POST /v1/media/:mediaId/complete";
      await settled(
        traceId,
        (spans) =>
          handled(spans, "VariantsReady").includes(groups.manifests) &&
          handled(spans, "MediaUploaded").includes(groups.imageWorker) &&
          named(spans, complete).length === 1,
      );
      const spans = receiver.ofTrace(traceId);
      const [request] = named(spans, complete);
      assert.ok(request);
      assert.deepEqual(
        named(spans, "append media").map(({ attributes }) => attributes["shutterlog.event.type"]),
        ["MediaUploaded", "VariantsReady"],
      );
      assertConnected(spans, request);
      const [signature] = named(receiver.ofTrace(signing), "POST /v1/media");
      assert.ok(signature);
      assert.equal(named(receiver.ofTrace(signing), "append signed-uploads").length, 1);
      assertConnected(receiver.ofTrace(signing), signature);
    });

    await t.step("a post, in the read model and in feeds", async () => {
      const { postId } = await ada.createPost({ mediaIds: [mediaId], caption: "A secret caption" });
      const { traceId } = ada;
      const expected = [groups.cards, groups.feeds, groups.readModel];
      await settled(
        traceId,
        (spans) =>
          expected.every((group) => handled(spans, "PostCreated").includes(group)) &&
          named(spans, "POST /v1/posts").length === 1,
      );
      const spans = receiver.ofTrace(traceId);
      const [request] = named(spans, "POST /v1/posts");
      const [append] = named(spans, "append posts");
      assert.ok(request && append);
      assert.equal(request.attributes["http.route"], "/v1/posts");
      assert.equal(append.parentSpanId, request.spanId);
      assert.equal(append.attributes["messaging.system"], "sqlite");
      assert.equal(append.attributes["messaging.destination.name"], "posts");
      assert.equal(append.attributes["messaging.kafka.message.key"], postId);
      assert.match(String(append.attributes["messaging.destination.partition.id"]), /^\d+$/);
      for (const span of named(spans, "process posts")) {
        assert.equal(span.parentSpanId, append.spanId, "an event is handled below its append");
      }
      assertConnected(spans, request);
    });

    await t.step("hot routes are named by their route too", async () => {
      await ada.feed();
      const { traceId } = ada;
      await settled(traceId, (spans) => named(spans, "GET /v1/feed").length === 1);
    });

    await t.step("a line of the log names the trace it is part of", async () => {
      await ada.request("GET", "/v1/feed", { query: { limit: 0 } });
      const { traceId } = ada;
      await until("the line is written", () => Promise.resolve(output().includes(traceId)));
    });

    await t.step("no personal text, no token and no password leaves in a span", () => {
      const { accessToken = "", refreshToken = "" } = ada.session ?? {};
      for (
        const secret of [
          "A secret caption",
          "Ada of the traces",
          password,
          accessToken,
          refreshToken,
        ]
      ) {
        assert.ok(secret.length > 0);
        assert.ok(!receiver.sent.includes(secret), "nothing that is written is sent along");
      }
    });
  }, { ...receiver.env, LOG_LEVEL: "debug", LOG_FORMAT: "json" });
});
