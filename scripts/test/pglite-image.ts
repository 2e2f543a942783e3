import { makePgliteImage } from "../../infra/sql/pglite/image.ts";

/** What all databases in tests begin as: see `infra/sql/pglite_fixture.ts`. */
export interface PgliteImage {
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

/** In a temporary file. */
export async function makeImage(): Promise<PgliteImage> {
  const path = await Deno.makeTempFile({ prefix: "shutterlog-pglite-" });
  const remove = () => Deno.remove(path);
  try {
    await makePgliteImage(path);
  } catch (error) {
    await remove();
    throw error;
  }
  return { env: { SHUTTERLOG_TEST_PGLITE_IMAGE: path }, remove };
}
