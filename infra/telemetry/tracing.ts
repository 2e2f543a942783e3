import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from "@opentelemetry/api";

const probe = createContextKey("shutterlog");

/**
 * Whether this process traces: `OTEL_DENO=true` makes Deno register its own OpenTelemetry, which makes a
 * span of every request and sends all spans by OTLP. Otherwise nothing here makes an object: each
 * function looks at this once and leaves.
 */
export const tracing: boolean = context.with(
  ROOT_CONTEXT.setValue(probe, true),
  () => context.active().getValue(probe) === true,
);

const kinds = {
  internal: SpanKind.INTERNAL,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

export interface SpanOptions {
  /** Of few kinds: ids go into attributes. */
  readonly name: string;
  readonly kind: keyof typeof kinds;
  /** By OpenTelemetry's semantic conventions where they have a name. Never personal text, never a secret. */
  readonly attributes: Attributes;
  /** A `traceparent` it goes on from, "" for none; the work it is started in when left out. */
  readonly parent?: string;
}

/** Work under way, as a trace shows it. */
export interface Work {
  /** Of this span, for whoever goes on from it. */
  readonly traceparent: string;
  set(attributes: Attributes): void;
  /** What runs within is part of it. */
  run<T>(work: () => T): T;
  /** @param error why it failed, of which the kind alone is told: messages may quote people. */
  end(error?: unknown): void;
}

/** Begins a span. Only to be called where `tracing` is. */
export function begin({ name, kind, attributes, parent }: SpanOptions): Work {
  const within = contextOf(parent);
  const span = trace.getTracer("shutterlog").startSpan(
    name,
    { kind: kinds[kind], attributes },
    within,
  );
  return {
    traceparent: formatted(span.spanContext()),
    set: (more) => void span.setAttributes(more),
    run: (work) => context.with(trace.setSpan(within, span), work),
    end(error) {
      if (error !== undefined) fail(span, error);
      span.end();
    },
  };
}

/** Runs `work` as a span of its own; just runs it where nothing is traced. */
export async function inSpan<T>(options: SpanOptions, work: () => Promise<T>): Promise<T> {
  if (!tracing) return await work();
  const span = begin(options);
  try {
    const result = await span.run(work);
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** Runs what a request has set off but is no part of, and may outlast it. */
export function apart<T>(work: () => T): T {
  return tracing ? context.with(ROOT_CONTEXT, work) : work();
}

/** The W3C `traceparent` of the work this is called in (https://www.w3.org/TR/trace-context/). */
export function traceparent(): string | undefined {
  if (!tracing) return undefined;
  const active = trace.getActiveSpan()?.spanContext();
  return active && isSpanContextValid(active) ? formatted(active) : undefined;
}

/** Whether a trace is kept, by whoever began it. */
export function isSampled(traceparent: string): boolean {
  const parsed = parse(traceparent);
  return parsed !== undefined && (parsed.traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** For a line of the log, so that it is found from its trace and the other way round. */
export function traceFields(): { trace_id: string; span_id: string } | undefined {
  if (!tracing) return undefined;
  const active = trace.getActiveSpan()?.spanContext();
  return active && { trace_id: active.traceId, span_id: active.spanId };
}

/** Names the span that Deno makes of a request by its route, so that its requests are one kind. */
export function nameRequest(method: string, route: string): void {
  if (!tracing) return;
  const span = trace.getActiveSpan();
  if (!span?.isRecording()) return;
  span.updateName(`${method} ${route}`);
  span.setAttribute("http.route", route);
}

/** The work this is called in has failed, although it does not throw. */
export function noteFailure(error: unknown): void {
  if (!tracing) return;
  const span = trace.getActiveSpan();
  if (span) fail(span, error);
}

function fail(span: Span, error: unknown): void {
  span.setAttribute("error.type", error instanceof Error ? error.name : typeof error);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function contextOf(traceparent: string | undefined): Context {
  if (traceparent === undefined) return context.active();
  const parent = parse(traceparent);
  return parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

function formatted({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}

/** Of any version but ff, which may say more behind what is read here. */
const written = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

function parse(traceparent: string): SpanContext | undefined {
  const [, traceId = "", spanId = "", flags = ""] = written.exec(traceparent) ?? [];
  const parsed = { traceId, spanId, traceFlags: parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(parsed) ? parsed : undefined;
}
