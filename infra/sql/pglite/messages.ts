import type { CopyValue } from "../port.ts";

/** Where a database lives, in memory when no folder is given, and what a new one begins as. */
export interface Where {
  readonly folder?: string;
  /** A file by `makePgliteImage`, to spare initdb. */
  readonly image?: string;
}

/** What the thread that calls asks of the one that holds the database. */
export type Request =
  | { readonly op: "open"; readonly where: Where }
  | { readonly op: "query"; readonly text: string; readonly parameters: readonly unknown[] }
  | { readonly op: "execute"; readonly text: string }
  | {
    readonly op: "copy";
    readonly table: string;
    readonly columns: readonly string[];
    readonly rows: readonly (readonly CopyValue[])[];
  }
  | { readonly op: "begin" }
  | { readonly op: "end"; readonly commit: boolean }
  | { readonly op: "close" };

/** `session` names the transaction a request belongs to; without one it stands for itself. */
export type Numbered = { readonly call: number; readonly session?: number } & Request;

export type Reply =
  & { readonly call: number }
  & ({ readonly result: unknown } | { readonly failure: Failure });

/** An error in a form that passes between threads. */
export type Failure =
  | { readonly kind: "sql"; readonly code: string; readonly message: string }
  | { readonly kind: "folder-in-use"; readonly folder: string }
  | { readonly kind: "folder-unreadable"; readonly folder: string; readonly reason: string };
