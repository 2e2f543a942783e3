import { Passing } from "./nodes.ts";

/**
 * Milliseconds for which a node's history is taken as known while its connection stands. Within them
 * no node can be demoted, follow another, and be promoted again.
 */
const knownFor = 1_000;

/** A node, as one connection to it reaches it. */
export interface Node {
  info(section: "replication"): Promise<string>;
  on(event: "close", listener: () => void): unknown;
}

/** What is known over a node's connection. */
interface Connection {
  /** How often it was lost. */
  losses: number;
  known: { readonly asked: number; readonly history: Promise<string> } | undefined;
}

/**
 * The replication history each node is in: 40 hex digits that are drawn anew when a master starts and
 * when a replica is promoted, and so name what a node's data descend from.
 */
export class Histories {
  readonly #connections = new WeakMap<Node, Connection>();

  /**
   * What was read from a node, and the history in which it was.
   * @throws {Passing} when the node is not a master, or its connection was lost meanwhile.
   */
  async reading<T>(node: Node, read: () => Promise<T>): Promise<{ value: T; history: string }> {
    const connection = this.#connectionTo(node);
    const { losses } = connection;
    const [history, value] = await Promise.all([ask(node, connection), read()]);
    if (connection.losses > losses) throw new Passing("the connection was lost in between");
    return { value, history };
  }

  #connectionTo(node: Node): Connection {
    const known = this.#connections.get(node);
    if (known) return known;
    const connection: Connection = { losses: 0, known: undefined };
    this.#connections.set(node, connection);
    node.on("close", () => {
      connection.losses += 1;
      connection.known = undefined;
    });
    return connection;
  }
}

function ask(node: Node, connection: Connection): Promise<string> {
  const { known } = connection;
  if (known && Date.now() - known.asked < knownFor) return known.history;
  const asking = { asked: Date.now(), history: historyOf(node) };
  connection.known = asking;
  asking.history.catch(() => {
    if (connection.known === asking) connection.known = undefined;
  });
  return asking.history;
}

/** @throws {Passing} when the node is not a master. */
export async function historyOf(node: Node): Promise<string> {
  const info = await node.info("replication");
  const history = /^role:master\r?$/m.test(info) && /^master_replid:(\w{40})/m.exec(info)?.[1];
  if (!history) throw new Passing("the node is not a master");
  return history;
}
