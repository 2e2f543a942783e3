import { z } from "zod";

/** A span as a process sent it. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 0 when nothing was said of it, 2 when it failed. */
  readonly status: number;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** As far as it is read: https://github.com/open-telemetry/opentelemetry-proto, trace.proto in JSON. */
const attribute = z.object({
  key: z.string(),
  value: z.record(z.string(), z.unknown()),
});
const exported = z.object({
  resourceSpans: z.array(z.object({
    scopeSpans: z.array(z.object({
      spans: z.array(z.object({
        traceId: z.string(),
        spanId: z.string(),
        parentSpanId: z.string(),
        name: z.string(),
        status: z.object({ code: z.number() }),
        attributes: z.array(attribute),
      })),
    })),
  })),
});

/** Takes traces by OTLP over HTTP in JSON, as a collector would, and keeps their spans. */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: Span[] = [];
  /** Everything that was sent, as text: what must not leave is looked for here. */
  sent = "";
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {},
      handler: async (request) => {
        const text = await request.text();
        if (new URL(request.url).pathname === "/v1/traces") this.#take(text);
        return Response.json({});
      },
    });
  }

  /** For a process that is to send its spans here, and soon. */
  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_DENO_METRICS: "false",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "100",
    };
  }

  ofTrace(traceId: string): Span[] {
    return this.spans.filter((span) => span.traceId === traceId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  #take(text: string): void {
    this.sent += text;
    const { resourceSpans } = exported.parse(JSON.parse(text));
    const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) =>
      spans
    );
    for (const { attributes, status, ...span } of spans) {
      const plain = attributes.map(({ key, value }) => [key, Object.values(value)[0]] as const);
      this.spans.push({ ...span, status: status.code, attributes: Object.fromEntries(plain) });
    }
  }
}
