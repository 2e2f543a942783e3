import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether nobody listens there, on any of this machine's addresses. */
export function isFree(port: number): boolean {
  return !portsInUse().has(port);
}

function portsInUse(): Set<number> {
  const lines = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
    readTable(table).split("\n").slice(1)
  );
  return new Set(lines.flatMap((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    return state === listening ? [Number.parseInt(local.split(":")[1] ?? "", 16)] : [];
  }));
}

/** TCP_LISTEN, as proc(5) writes it. */
const listening = "0A";

/** A machine without IPv6 has no table of it. */
function readTable(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Milliseconds within which whoever has drawn a port listens there. */
const reservation = 120_000;

/**
 * Ports that nobody listens on and that nobody else has drawn in the last two minutes, in whatever
 * process: servers are started side by side. They lie below the range from which the system draws
 * ports for outgoing connections, so that a server which is stopped finds its own still free when it
 * comes back.
 */
export function freePorts(count: number): number[] {
  const [lowest, span] = [18_000, 14_000];
  // Read once: with thousands of connections the table takes milliseconds.
  const inUse = portsInUse();
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 1000) throw new Error(`there are no ${count} free ports from ${lowest} on`);
    const port = lowest + Math.floor(Math.random() * span);
    if (!inUse.has(port) && reserve(port)) found.add(port);
  }
  return [...found];
}

/** A file by the port's name, which one of those who race for it makes. */
function reserve(port: number): boolean {
  const folder = join(tmpdir(), `shutterlog-ports-${Deno.uid()}`);
  const path = join(folder, String(port));
  Deno.mkdirSync(folder, { recursive: true });
  try {
    const made = Deno.statSync(path).mtime?.getTime() ?? 0;
    if (Date.now() - made < reservation) return false;
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  try {
    Deno.writeTextFileSync(path, "", { createNew: true });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}
