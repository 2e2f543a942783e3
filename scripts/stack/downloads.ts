import { join } from "node:path";
import { versions } from "../../infra/deploy/settings.ts";
import { projectRoot } from "../architecture/graph.ts";
import { find, run, ServerFailed, which } from "./process.ts";

/** What is fetched rather than installed is kept here, whatever folder a stack has its data in. */
const fetched = join(projectRoot, ".stack");
const kafkaLibraries = join(fetched, `kafka-${versions.kafka.version}`);
const versitygw = join(fetched, "bin", `versitygw-${versions.versitygw.version}`);

/** The folder of Kafka's jars. @throws {ServerFailed} when they have not been fetched. */
export async function fetchedKafka(): Promise<string> {
  if (await isThere(kafkaLibraries)) return kafkaLibraries;
  throw new ServerFailed(`Kafka ${versions.kafka.version} is not here: deno task stack install`);
}

/** @throws {ServerFailed} when it has not been fetched. */
export async function fetchedVersitygw(): Promise<string> {
  const found = await which(versitygw);
  if (found !== undefined) return found;
  throw new ServerFailed(`versitygw is not here: deno task stack install`);
}

/** Through Maven, beside its place and then into it: what is there is whole. */
export async function fetchKafka(): Promise<void> {
  if (await isThere(kafkaLibraries)) return;
  const draft = `${kafkaLibraries}.new`;
  await Deno.mkdir(fetched, { recursive: true });
  await run([
    await find("mvn"),
    "--batch-mode",
    "--quiet",
    "--file",
    join(projectRoot, "infra/deploy/kafka/pom.xml"),
    "dependency:copy-dependencies",
    "-DincludeScope=runtime",
    `-DoutputDirectory=${draft}`,
  ]);
  await Deno.rename(draft, kafkaLibraries);
}

/** Built by Go from its own source. */
export async function fetchVersitygw(): Promise<void> {
  if (await which(versitygw) !== undefined) return;
  const draft = join(fetched, "bin", "new");
  await Deno.mkdir(draft, { recursive: true });
  const name = `github.com/versity/versitygw/cmd/versitygw@v${versions.versitygw.version}`;
  await run([await find("go"), "install", name], { env: { GOBIN: draft } });
  await Deno.rename(join(draft, "versitygw"), versitygw);
  await Deno.remove(draft);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
