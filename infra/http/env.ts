import type { Context } from "hono";
import { Problem } from "./problem.ts";

/** Who sent the request, by its access token. */
export interface Caller {
  readonly accountId: string;
  readonly sessionId: string;
}

/** What a handler behind `createEdge` finds in its context. */
export interface HttpEnv {
  /** What `Deno.serve` hands to `app.fetch`; absent when a test calls `app.request`. */
  Bindings: { readonly remoteAddr?: Deno.Addr };
  Variables: {
    requestId: string;
    /**
     * Headers of the answer to come, written to it once, at the end: each write to a `Headers` costs a
     * microsecond, and what is set before a response exists is written twice. One that the response
     * bears itself goes before.
     */
    headers: Record<string, string>;
    /** Set by `authenticate`. */
    caller?: Caller;
    /** Reverse proxies in front of this process whose `X-Forwarded-For` is believed. */
    trustedProxies: number;
  };
}

export type HttpContext = Context<HttpEnv>;

/** The caller of a route behind `authenticate`. @throws {Problem} 401 on any other. */
export function callerOf(c: HttpContext): Caller {
  const caller = c.get("caller");
  if (!caller) throw new Problem("unauthenticated", "sign in first");
  return caller;
}

/**
 * The client's address: the connection's, or, behind n trusted proxies, the n-th from the right of
 * `X-Forwarded-For`. What stands further left is the client's own claim.
 */
export function clientAddress(c: HttpContext): string {
  const proxies = c.get("trustedProxies") ?? 0;
  if (proxies > 0) {
    const hops = (c.req.header("x-forwarded-for") ?? "").split(",").map((hop) => hop.trim());
    const address = hops.at(-proxies);
    if (address) return address;
  }
  const peer = c.env?.remoteAddr;
  return peer && "hostname" in peer ? peer.hostname : "local";
}
