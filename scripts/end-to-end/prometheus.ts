import { join } from "node:path";
import { freePorts } from "../stack/ports.ts";
import { find } from "../stack/process.ts";
import { until } from "./until.ts";

/** A Prometheus of its own, on a free port and an empty folder. */
export interface RunningPrometheus extends AsyncDisposable {
  /** The values of an instant query; none when nothing matches. @throws when it is not PromQL. */
  query(expr: string): Promise<number[]>;
  /** Names of the alerts that fire. */
  firing(): Promise<string[]>;
}

/** @param config prometheus.yml */
export async function startPrometheus(config: string): Promise<RunningPrometheus> {
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-prometheus-" });
  await Deno.writeTextFile(join(folder, "prometheus.yml"), config);
  const [port] = freePorts(1);
  const baseUrl = `http://127.0.0.1:${port}`;
  const child = new Deno.Command(await find("prometheus"), {
    args: [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  const dispose = async () => {
    try {
      child.kill("SIGTERM");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has exited already.
    }
    await child.status;
    await Deno.remove(folder, { recursive: true });
  };
  const ask = async (path: string) => {
    const answer = await fetch(`${baseUrl}/api/v1/${path}`);
    const body = await answer.json();
    if (body.status !== "success") throw new Error(`Prometheus: ${body.error}`);
    return body.data;
  };
  try {
    await until("Prometheus is ready", async () => {
      const answer = await fetch(`${baseUrl}/-/ready`).catch(() => undefined);
      await answer?.body?.cancel();
      return answer?.ok ?? false;
    }, 30_000);
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    async query(expr) {
      const { result } = await ask(`query?query=${encodeURIComponent(expr)}`);
      return result.map(({ value: [, value] }: { value: [number, string] }) => Number(value));
    },
    async firing() {
      const { alerts } = await ask("alerts");
      return alerts.filter(({ state }: { state: string }) => state === "firing")
        .map(({ labels }: { labels: { alertname: string } }) => labels.alertname);
    },
    [Symbol.asyncDispose]: dispose,
  };
}
