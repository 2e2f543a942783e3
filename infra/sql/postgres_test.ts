import { sqlContract } from "./contract.ts";
import { openPostgres } from "./postgres.ts";
import { onPostgres } from "./postgres_fixture.ts";

onPostgres("infra/sql", (url) => sqlContract("postgres", () => openPostgres({ url })));
