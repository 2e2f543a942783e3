import assert from "node:assert/strict";
import { keptSecrets } from "./secrets.ts";

Deno.test("keptSecrets: drawn once, kept, private; racing first starts agree", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const drawn = await Promise.all(Array.from({ length: 8 }, () => keptSecrets(folder)));
    for (const secrets of drawn) assert.deepEqual(secrets, drawn[0]);
    assert.deepEqual(await keptSecrets(folder), drawn[0]);
    const files = Array.from(Deno.readDirSync(folder), (entry) => entry.name);
    assert.deepEqual(files, ["secrets.json"]);
    assert.equal((Deno.statSync(`${folder}/secrets.json`).mode ?? 0) & 0o777, 0o600);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("keptSecrets: a file it did not write is not overwritten", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/secrets.json`, "{}");
    await assert.rejects(keptSecrets(folder), /mend or remove/);
    assert.equal(await Deno.readTextFile(`${folder}/secrets.json`), "{}");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
