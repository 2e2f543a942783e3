/** A server of a constant, in a process of its own. */
export interface Constant {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Serves what a request was answered with, head and body. */
export async function serveConstant(answer: Response): Promise<Constant> {
  const headers = Object.fromEntries(answer.headers);
  // The server says these by itself.
  for (const own of ["content-length", "date", "vary"]) delete headers[own];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-net",
      new URL("./constant-server.ts", import.meta.url).pathname,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(
    new TextEncoder().encode(JSON.stringify({ headers, body: await answer.text() })),
  );
  await writer.close();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await lines.read();
  return {
    port: Number(value),
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await lines.cancel();
      await child.status;
    },
  };
}
