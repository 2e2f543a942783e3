import { z } from "zod";
import { UnfitRecord } from "../../projections/runner/applier.ts";
import { dropProjection, ensureControl } from "../../projections/runner/control.ts";
import type { Definition } from "../../projections/runner/projection.ts";
import {
  NothingToRebuild,
  rebuild,
  type RebuildServices,
  rollBack,
  verify,
} from "../../projections/runner/rebuild.ts";
import { statusOf } from "../../projections/runner/status.ts";
import { VersionParked } from "../../projections/runner/switch.ts";
import { versionsOf, VersionTaken } from "../../projections/runner/versions.ts";
import { announce, createDefinitions } from "../projector/definitions.ts";
import { Cancelled, operation, type OperatorEngines, Refused } from "./operation.ts";

const named = z.object({ projection: z.string() });

/** What `deno task projections` asks. */
export const projectionOperations = {
  "projections.status": operation({
    input: z.object({ projection: z.string().optional() }),
    run: async (engines, { projection }) => {
      await ensureControl(engines.sql);
      const definitions = createDefinitions(engines);
      return await statusOf(
        engines,
        projection === undefined ? definitions : [definitionOf(engines, projection)],
      );
    },
  }),

  "projections.rebuild": operation({
    input: named,
    run: (engines, { projection }, told) =>
      explained(() =>
        rebuild(
          definitionOf(engines, projection),
          servicesOf(engines),
          told,
          (reason) => reason instanceof Cancelled,
        )
      ),
  }),

  "projections.verify": operation({
    input: named,
    run: (engines, { projection }, told) =>
      explained(() => {
        if (projection === "cards") {
          throw new Refused("cards holds nothing of its own: verify read_model and manifests");
        }
        return verify(definitionOf(engines, projection), servicesOf(engines), told);
      }),
  }),

  "projections.rollback": operation({
    input: named,
    run: (engines, { projection }, told) =>
      explained(() => rollBack(definitionOf(engines, projection), servicesOf(engines), told)),
  }),

  "projections.drop": operation({
    input: named.extend({ version: z.int().positive() }),
    run: async (engines, { projection, version }) => {
      const definition = definitionOf(engines, projection);
      const row = (await versionsOf(engines.sql, projection)).find((one) =>
        one.version === version
      );
      if (!row) throw new Refused(`there is no version ${version} of ${projection}`);
      if (row.live) throw new Refused(`${projection} v${version} is live: it answers queries`);
      if (row.taken) throw new Refused(`${projection} v${version} is being worked on`);
      if (row.previous && row.state === "followed") {
        throw new Refused(
          `${projection} v${version} was live until a moment ago: try again in 10 s`,
        );
      }
      await dropProjection(engines.sql, projection, version);
      await definition.drop?.(version);
      return { projection, version };
    },
  }),
};

function definitionOf(engines: OperatorEngines, name: string): Definition {
  const definitions = createDefinitions(engines);
  const definition = definitions.find((one) => one.name === name);
  if (definition) return definition;
  const names = definitions.map((one) => one.name).join(", ");
  throw new Refused(`there is no projection ${name}; there are ${names}`);
}

function servicesOf(engines: OperatorEngines): RebuildServices {
  return { ...engines, announce: (projection) => announce(projection, engines) };
}

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const forPeople = error instanceof VersionTaken || error instanceof NothingToRebuild;
    if (forPeople) throw new Refused(error.message);
    if (error instanceof UnfitRecord || error instanceof VersionParked) {
      throw new Refused(
        `${error.message}\nWhat serves goes on as it is. What has been filled is kept: once the event can ` +
          `be applied, the same command goes on from there.`,
      );
    }
    throw error;
  }
}
