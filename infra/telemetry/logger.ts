import { traceFields } from "./tracing.ts";

/** One line of JSON per entry on standard error, or a short readable line on a terminal; with its `trace_id` where it is part of a trace. */
export interface Logger {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A logger that adds these fields to every entry. */
  with(fields: Fields): Logger;
}

export type Fields = Readonly<Record<string, unknown>>;

export const levels = ["debug", "info", "warn", "error", "silent"] as const;
export type Level = typeof levels[number];

export function createLogger(options: { level: Level; format: "json" | "text" }): Logger {
  const threshold = levels.indexOf(options.level);
  const write = options.format === "json" ? writeJson : writeText;
  const make = (bound: Fields): Logger => {
    const at = (level: Level) =>
      levels.indexOf(level) < threshold
        ? () => {}
        : (message: string, fields?: Fields) =>
          write(level, message, { ...bound, ...fields, ...traceFields() });
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => make({ ...bound, ...fields }),
    };
  };
  return make({});
}

/** For tests and tools that speak for themselves. */
export const silentLogger: Logger = createLogger({ level: "silent", format: "text" });

const encoder = new TextEncoder();

function writeLine(line: string): void {
  Deno.stderr.writeSync(encoder.encode(line + "\n"));
}

function writeJson(level: Level, message: string, fields: Fields): void {
  const shown = Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, plain(v)]));
  writeLine(JSON.stringify({ time: new Date().toISOString(), level, message, ...shown }));
}

function writeText(level: Level, message: string, fields: Fields): void {
  const shown = Object.entries(fields).map(([key, value]) => {
    const text = plain(value);
    return `${key}=${typeof text === "string" ? text : JSON.stringify(text)}`;
  });
  writeLine([new Date().toISOString().slice(11, 23), level.padEnd(5), message, ...shown].join(" "));
}

function plain(value: unknown): unknown {
  return value instanceof Error ? value.stack ?? `${value.name}: ${value.message}` : value;
}
