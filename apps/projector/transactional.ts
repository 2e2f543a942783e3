import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { define, type Definition } from "../../projections/runner/projection.ts";

/** The projections that live in PostgreSQL alone, those that others come after first. */
export function transactionalDefinitions(
  { cdnBaseUrl }: { readonly cdnBaseUrl: string },
): readonly Definition[] {
  return [define(readModel), define(createManifests({ cdnBaseUrl }))];
}
