import process from "node:process";
import { Counter, Gauge } from "prom-client";
import { metrics } from "./metrics.ts";

/** What Prometheus's own clients tell of every process, under the names that they give it. */

new Gauge({
  name: "process_start_time_seconds",
  help: "When the process started, in seconds since the epoch.",
  registers: [metrics],
}).set(Date.now() / 1000 - process.uptime());

new Gauge({
  name: "process_resident_memory_bytes",
  help: "Memory held, in bytes.",
  registers: [metrics],
  collect() {
    this.set(process.memoryUsage.rss());
  },
});

new Counter({
  name: "process_cpu_seconds_total",
  help: "CPU time used, in seconds.",
  registers: [metrics],
  collect() {
    const { user, system } = process.cpuUsage();
    this.reset();
    this.inc((user + system) / 1e6);
  },
});
