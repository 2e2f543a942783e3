import { join } from "node:path";
import { z } from "zod";
import { Refused } from "../client/terminal.ts";
import { eventTables } from "./columns.ts";
import type { FormatName } from "./formats.ts";

const manifest = z.object({
  version: z.literal(1),
  format: z.string(),
  /** The tables and columns of the files. */
  shape: z.string(),
  /** By `topic/partition`: the offset of the first event that is not in the files. */
  next: z.record(z.string(), z.int()),
  /** An event of the log, by which it is known again. */
  anchor: z.object({ topic: z.string(), partition: z.int(), id: z.string() }).optional(),
  /** Accounts that have closed, whose text may still stand in the files. */
  erasing: z.array(z.string()),
});

/**
 * What a folder of files holds of a log. Written last, and renamed into place: what the files have
 * beyond it is of a run that was broken off, and the next one takes it away as it writes them anew.
 */
export type Manifest = z.infer<typeof manifest>;

const shape = JSON.stringify(
  eventTables.map(({ type, columns }) => [type, ...columns.map(({ name, type }) => [name, type])]),
);

export function emptyManifest(format: FormatName): Manifest {
  return { version: 1, format, shape, next: {}, erasing: [] };
}

/**
 * Undefined when nothing has been exported to the folder.
 * @throws {OtherShape} when what is there cannot be added to.
 */
export async function readManifest(
  folder: string,
  format: FormatName,
): Promise<Manifest | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(pathIn(folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const parsed = manifest.safeParse(json);
  if (!parsed.success) {
    throw new OtherShape(`${pathIn(folder)} is not what this program wrote: name another folder`);
  }
  if (parsed.data.format !== format) {
    throw new OtherShape(
      `${folder} holds ${parsed.data.format}, not ${format}: name another folder`,
    );
  }
  if (parsed.data.shape !== shape) {
    throw new OtherShape(
      `${folder} was exported when events had other fields: name another folder, or remove it`,
    );
  }
  return parsed.data;
}

export class OtherShape extends Refused {}

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const draft = `${pathIn(folder)}.draft`;
  await Deno.writeTextFile(draft, `${JSON.stringify(manifest, null, 1)}\n`, { mode: 0o600 });
  await Deno.rename(draft, pathIn(folder));
}

function pathIn(folder: string): string {
  return join(folder, "manifest.json");
}
