import type { Import } from "./graph.ts";

/** A broken rule: where, which, and what to do about it. */
export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly remedy: string;
}

export const layers = ["domain", "infra", "projections", "apps", "scripts"] as const;
type Layer = typeof layers[number];

/** domain ← projections ← apps ← scripts, and infra knows only domain. */
const mayImport: Readonly<Record<Layer, readonly Layer[]>> = {
  domain: ["domain"],
  infra: ["domain", "infra"],
  projections: ["domain", "infra", "projections"],
  apps: ["domain", "infra", "projections", "apps"],
  scripts: ["domain", "infra", "projections", "apps", "scripts"],
};

/** What tests of every layer may draw on besides. */
const testMaterial = ["scripts/photos/", "scripts/client/", "scripts/stack/"];

/** Folders of infra that are no port: everything in them is for all who may import infra. */
const commonInfra = ["infra/config/", "infra/http/", "infra/telemetry/"];

/**
 * Beside `port.ts`, what is the same on every engine: what adapters of a port share, and what is
 * built on the port alone. A new one is named here by whoever has seen that it knows no engine.
 */
const onEveryEngine: Readonly<Record<string, readonly string[]>> = {
  "infra/event-log/": ["codec", "ids", "partitioner", "position", "tracing"],
  "infra/identity/": ["outbox", "passwords", "sealing", "server-secret", "sessions", "tokens"],
  "infra/images/": ["recipe"],
  "infra/sql/": ["migrate"],
};

/** Folders of infra that are no port either, but an engine: for the adapters of all ports to it. */
const engines = ["infra/redis/"];

/** What only handles photographs' bytes; no request handler may load it. */
const imageCode = (module: string) =>
  module.startsWith("infra/images/") || /^(npm:)?sharp([@/]|$)/.test(module);
const requestHandlers = ["apps/commands/", "apps/queries/"];

export function violations(imports: readonly Import[]): Violation[] {
  return [
    ...imports.flatMap(arrow),
    ...cycles(imports),
    ...imageBytesInHandlers(imports),
  ];
}

function arrow(edge: Import): Violation[] {
  const { from, to, line } = edge;
  const broken = (rule: string, remedy: string) => [{ file: from, line, rule, remedy }];
  const source = layerOf(from);
  const target = layerOf(to);
  const test = isTest(from);
  if (source === undefined) return [];

  if (target === undefined) {
    const foreign = source === "domain" && !test && to !== "zod";
    return foreign
      ? broken(`domain imports zod and itself only, not ${to}`, "pass what it does in as a value")
      : [];
  }
  if (isTest(to) && !test) {
    return broken(
      `${from} imports test code, ${to}`,
      "move what both need into a module of its own",
    );
  }
  if (test && testMaterial.some((folder) => to.startsWith(folder))) return [];
  if (!mayImport[source].includes(target)) {
    const allowed = mayImport[source].join(", ");
    return broken(
      `${source} may import ${allowed}; ${to} is ${target}`,
      `move it below ${source}, or pass it in through an interface that ${source} declares`,
    );
  }
  if (isAdapter(to) && !test && source !== "scripts") {
    const chooses = from.startsWith("infra/config/") || folderOf(from) === folderOf(to) ||
      isAdapter(from) && engines.includes(folderOf(to));
    if (!chooses) {
      return broken(
        `${to} is an adapter: infra/config chooses it, nothing else names it`,
        `import ${folderOf(to)}port.ts, and take the adapter from the caller`,
      );
    }
  }
  return [];
}

function layerOf(path: string): Layer | undefined {
  return layers.find((layer) => path.startsWith(`${layer}/`));
}

/** `infra/sql/pglite.ts` lies in `infra/sql/`. */
function folderOf(path: string): string {
  return path.split("/").slice(0, 2).join("/") + "/";
}

function isAdapter(path: string): boolean {
  const folder = folderOf(path);
  if (!path.startsWith("infra/") || commonInfra.includes(folder)) return false;
  const shared = ["port", ...onEveryEngine[folder] ?? []];
  return !shared.some((name) => path === `${folder}${name}.ts`);
}

/** Tests, the contract suites they run, and the fixtures and helpers they share. */
function isTest(path: string): boolean {
  return path.includes("/testing/") || /_test(_[a-z]+)*\.tsx?$/.test(path) ||
    /(^|[/_-])(contract|fixture|given_when_then|testing)(_[a-z]+)*\.ts$/.test(path);
}

/** Each strongly connected component of more than one module, by one cycle through it. */
function cycles(imports: readonly Import[]): Violation[] {
  const found: Violation[] = [];
  const targets = Map.groupBy(imports, ({ from }) => from);
  const done = new Set<string>();
  const path: string[] = [];

  const visit = (module: string): void => {
    if (done.has(module)) return;
    path.push(module);
    for (const { to, line } of targets.get(module) ?? []) {
      const start = path.indexOf(to);
      if (start >= 0) {
        found.push({
          file: module,
          line,
          rule: `import cycle: ${[...path.slice(start), to].join(" → ")}`,
          remedy: "move what they share into a module that imports neither",
        });
      } else visit(to);
    }
    path.pop();
    done.add(module);
  };
  for (const module of targets.keys()) visit(module);
  return found;
}

/** API processes never carry image bytes: at start they load nothing that could. */
function imageBytesInHandlers(imports: readonly Import[]): Violation[] {
  const loads = Map.groupBy(
    imports.filter(({ typeOnly, dynamic }) => !typeOnly && !dynamic),
    ({ from }) => from,
  );
  const handlers = [...loads.keys()].filter((module) =>
    requestHandlers.some((folder) => module.startsWith(folder)) && !isTest(module)
  );
  // Breadth first from all handlers at once, so that the way shown is a shortest one.
  const cameFrom = new Map<string, Import | undefined>(
    handlers.map((module) => [module, undefined]),
  );
  const found: Violation[] = [];
  for (const module of cameFrom.keys()) {
    for (const edge of loads.get(module) ?? []) {
      if (cameFrom.has(edge.to)) continue;
      cameFrom.set(edge.to, edge);
      if (imageCode(edge.to)) found.push(handlerViolation(edge, cameFrom));
    }
  }
  return found;
}

function handlerViolation(
  last: Import,
  cameFrom: ReadonlyMap<string, Import | undefined>,
): Violation {
  const way = [last.to];
  let first = last;
  for (let edge: Import | undefined = last; edge; edge = cameFrom.get(edge.from)) {
    way.unshift(edge.from);
    first = edge;
  }
  return {
    file: first.from,
    line: first.line,
    rule: `a request handler loads image code: ${way.join(" → ")}`,
    remedy: "leave image bytes to the image worker; import the type only, or load it on demand",
  };
}
