/**
 * Microseconds of processor time that a process's first thread has used so far, which is where
 * JavaScript runs and sockets are served; undefined where there is no `/proc`. Kept in steps of 10 ms.
 */
export async function processTime(pid: number): Promise<number | undefined> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/stat`).catch(() => undefined);
  // After the name, which may hold anything, in brackets: state, … the 12th and 13th are the times.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  if (!fields) return undefined;
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
