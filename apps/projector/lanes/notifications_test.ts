import assert from "node:assert/strict";
import { originalKey } from "../../../domain/media.ts";
import { wherePresent } from "../../../infra/deploy/nginx/testing.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import { openKafkaLog } from "../../../infra/event-log/kafka.ts";
import { openS3Store } from "../../../infra/object-store/s3.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { startKafka } from "../../../scripts/stack/kafka.ts";
import { startS3 } from "../../../scripts/stack/s3.ts";
import { SignedUploads } from "../../commands/signed-uploads.ts";
import { openWorld } from "../testing.ts";
import { until } from "../testing_until.ts";
import { ensureTopics } from "../topics.ts";
import { notificationLane, signedUploadLane, storeNotifications } from "./uploads.ts";

await wherePresent("notifications of the store", ["kafka", "s3"], () => {
  Deno.test("lanes: on Kafka and versitygw, an upload is found by its notification, and without", async () => {
    await using cleanup = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir();
    cleanup.defer(() => Deno.remove(folder, { recursive: true }));
    const kafka = await startKafka({
      folder,
      brokers: 1,
      heap: "-Xms64m -Xmx320m",
      shortLived: true,
    });
    cleanup.defer(() => kafka.stop());
    const log = await openKafkaLog({
      brokers: [kafka.brokers],
      replicationFactor: 1,
      minInsyncReplicas: 1,
      logger: silentLogger,
    });
    cleanup.defer(() => log.close());
    await ensureTopics(log);
    const notifications = { broker: kafka.brokers, topic: storeNotifications };
    const s3 = await startS3({ folder, notifications });
    cleanup.defer(() => s3.stop());
    const { bucket, endpoint, region, ...credentials } = s3.store;
    const store = openS3Store({ bucket, endpoint, region, credentials, forcePathStyle: true });
    cleanup.defer(() => store.close());
    const world = cleanup.use(await openWorld({ log, store }));

    const sign = async () => {
      const upload = { mediaId: newId(), ownerId: newId() };
      await new SignedUploads(log).note(upload);
      return upload;
    };
    const upload = async ({ ownerId, mediaId }: { ownerId: string; mediaId: string }) => {
      const { url, headers } = await store.presignPut({
        key: originalKey(ownerId, mediaId),
        contentType: "image/jpeg",
        byteLength: 7,
        expiresInSeconds: 60,
      });
      const answer = await fetch(url, { method: "PUT", headers, body: new Uint8Array(7) });
      await answer.body?.cancel();
      assert.equal(answer.status, 200);
    };
    const found = async () =>
      (await world.events()).flatMap((event) =>
        event.type === "MediaUploaded" ? [event.data.mediaId] : []
      );

    const told = await sign();
    await upload(told);
    await world.onLane(
      notificationLane(world.services),
      () => until("the store's word has been taken", async () => (await found()).length > 0),
      15_000,
    );
    assert.deepEqual(await found(), [told.mediaId]);

    const silent = await sign();
    await world.services.store.put(originalKey(silent.ownerId, silent.mediaId), new Uint8Array(7), {
      contentType: "image/jpeg",
    });
    await world.onLane(
      signedUploadLane(world.services),
      () => until("it has been swept", async () => (await found()).length > 1),
      25 * 60 * 1000,
    );
    assert.deepEqual((await found()).sort(), [told.mediaId, silent.mediaId].sort());
  });
});
