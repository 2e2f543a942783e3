import { ifFound } from "./file.ts";

/** A folder of one process's own for files that are being written. */
export interface Staging {
  readonly folder: string;
  /** A path that nothing else uses. */
  path(): string;
  /** Removes the folder with all that is in it. */
  release(): Promise<void>;
}

/**
 * Claims a folder below `parent` and sweeps those whose processes are gone. Each process holds a lock
 * on a file in its own folder, which the kernel frees however the process ends, so what can be locked
 * is nobody's. Folders are claimed and swept under one more lock, lest a folder be swept between being
 * made and being locked.
 */
export async function claimStaging(parent: string): Promise<Staging> {
  await Deno.mkdir(parent, { recursive: true });
  using turn = await Deno.open(`${parent}/turn`, { write: true, create: true });
  await turn.lock(true);
  await sweep(parent);
  const folder = `${parent}/${crypto.randomUUID()}`;
  await Deno.mkdir(folder);
  const claim = await Deno.open(`${folder}/${claimFile}`, { write: true, createNew: true });
  await claim.lock(true);
  let files = 0;
  return {
    folder,
    path: () => `${folder}/${++files}`,
    async release() {
      // A sweep may take the rest once the claim is gone.
      await ifFound(Deno.remove(folder, { recursive: true }));
      claim.close();
    },
  };
}

const claimFile = "claim";

async function sweep(parent: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(parent)) {
    if (!isDirectory) continue;
    const folder = `${parent}/${name}`;
    using claim = await ifFound(Deno.open(`${folder}/${claimFile}`, { write: true })) ?? null;
    if (!claim || await claim.tryLock(true)) {
      await ifFound(Deno.remove(folder, { recursive: true }));
    }
  }
}
