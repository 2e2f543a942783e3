import { join } from "node:path";
import { z } from "zod";

const secrets = z.strictObject({
  /** Signs access tokens and seals kept answers: 32 random bytes, base64. */
  serverSecret: z.base64().min(44),
  objectStore: z.strictObject({ accessKeyId: z.string(), secretAccessKey: z.string() }),
});

export type Secrets = z.infer<typeof secrets>;

/**
 * The embedded run's secrets: drawn at the first start and kept, readable by their owner alone, with
 * the identity store they belong to.
 */
export async function keptSecrets(folder: string): Promise<Secrets> {
  const path = join(folder, "secrets.json");
  try {
    return secrets.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new Error(`${path} is not what this program wrote: mend or remove it`, {
        cause: error,
      });
    }
  }
  const drawn: Secrets = {
    serverSecret: crypto.getRandomValues(new Uint8Array(32)).toBase64(),
    objectStore: {
      accessKeyId: `EMBEDDED${crypto.getRandomValues(new Uint8Array(6)).toHex().toUpperCase()}`,
      secretAccessKey: crypto.getRandomValues(new Uint8Array(30)).toBase64(),
    },
  };
  // Written aside and linked into place, so that of two first starts one wins and both read it.
  const draft = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(draft, JSON.stringify(drawn, null, 2), { mode: 0o600, createNew: true });
  try {
    await Deno.link(draft, path);
    return drawn;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return await keptSecrets(folder);
    throw error;
  } finally {
    await Deno.remove(draft);
  }
}
