import type { z } from "@hono/zod-openapi";
import type { account } from "../queries/schemas.ts";
import { accountById, type AccountRow } from "../../projections/read-model/reads/accounts.ts";
import { awaited } from "./command.ts";
import type { CommandServices } from "./services.ts";

export type AccountAnswer = z.infer<typeof account>;

/** Without a display name it goes by its handle. */
export function accountAnswerOf(
  row: Pick<AccountRow, "account_id" | "handle"> & Partial<AccountRow>,
): AccountAnswer {
  return {
    id: row.account_id,
    handle: row.handle,
    displayName: row.display_name ?? row.handle,
    bio: row.bio ?? "",
    ...(row.avatar && { avatar: JSON.parse(row.avatar) }),
  };
}

/** The account as the read model has it; by its handle alone when it has not come that far. */
export async function accountAsKnown(
  services: CommandServices,
  { accountId, handle }: { accountId: string; handle: string },
): Promise<AccountAnswer> {
  const row = await awaited(
    services,
    { topic: "accounts", key: accountId },
    () => accountById(services.sql, accountId),
  );
  return accountAnswerOf(row ?? { account_id: accountId, handle });
}
