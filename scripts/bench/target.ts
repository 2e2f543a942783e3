import type { Sql } from "../../infra/sql/port.ts";

export interface Served {
  readonly baseUrl: string;
  readonly pid: number;
}

/** A running product to be measured. */
export interface Target {
  readonly name: string;
  readonly queries: Served;
  readonly commands: Served;
  /** Whatever is kept in memory and in caches is gone afterwards. */
  forget(): Promise<void>;
  /** Its read model. Nothing else is asked of the product afterwards. */
  sql(): Promise<Sql>;
  stop(): Promise<void>;
}
