import { z } from "@hono/zod-openapi";
import type { HttpContext } from "../../infra/http/env.ts";
import { Problem } from "../../infra/http/problem.ts";
import { newest } from "../../projections/read-model/reads/keyset.ts";

/** Which page of a list: at most `limit` entries below the id `before`. */
export interface PageQuery {
  readonly before: string;
  readonly limit: number;
}

/** What is asked for by whoever says nothing of pages. */
export const firstPage: PageQuery = { before: newest, limit: 20 };

const wholeNumber = /^[0-9]{1,9}$/;

export const pageQuery = z.strictObject({
  limit: z.string().regex(wholeNumber, "must be a whole number").default(String(firstPage.limit))
    .transform(Number).pipe(z.number().min(1).max(100))
    .openapi({ type: "integer", minimum: 1, maximum: 100, default: firstPage.limit, example: 20 }),
  cursor: z.string()
    .transform((cursor, context) => {
      const id = decodeCursor(cursor);
      if (id !== undefined) return id;
      context.addIssue({ code: "custom", message: "is not a cursor of ours" });
      return z.NEVER;
    })
    .default(firstPage.before)
    .openapi({
      type: "string",
      description: "`nextCursor` of the page before; none for the first",
    }),
});

/** @throws {Problem} 400 for a limit or cursor that is not one, and for parameters unknown. */
export function pageQueryOf(c: HttpContext): PageQuery {
  const { data, error } = pageQuery.safeParse(c.req.query());
  if (data) return { before: data.cursor, limit: data.limit };
  throw new Problem("invalid-query", "limit and cursor page through a list", {
    errors: error.issues.map(({ path, message }) => ({ path: path.join("."), message })),
  });
}

/** A cursor is an id's 16 bytes in base64url (RFC 4648 §5); to clients it means nothing. */
export function encodeCursor(id: string): string {
  return Uint8Array.fromHex(id.replaceAll("-", ""))
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

function decodeCursor(cursor: string): string | undefined {
  if (!/^[A-Za-z0-9_-]{22}$/.test(cursor)) return undefined;
  const hex = Uint8Array.fromBase64(cursor, { alphabet: "base64url" }).toHex();
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
