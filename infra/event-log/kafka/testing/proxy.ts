/** Passes bytes on to another address until its connections are cut. */
export class Proxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;

  /** @param target `host:port`. */
  constructor(target: string) {
    const [hostname = "", port] = target.split(":");
    this.#serving = this.#serve({ hostname, port: Number(port) });
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Drops every connection as it is; returns how many there were. */
  cut(): number {
    const connections = [...this.#connections];
    this.#connections.clear();
    for (const connection of connections) close(connection);
    return connections.length / 2;
  }

  async close(): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.#serving;
  }

  async #serve(target: Deno.ConnectOptions): Promise<void> {
    const passing = new Set<Promise<void>>();
    for await (const client of this.#listener) {
      const pass = this.#pass(client, target).finally(() => passing.delete(pass));
      passing.add(pass);
    }
    await Promise.all(passing);
  }

  async #pass(client: Deno.Conn, target: Deno.ConnectOptions): Promise<void> {
    let broker: Deno.Conn;
    try {
      broker = await Deno.connect(target);
    } catch {
      return close(client);
    }
    this.#connections.add(client).add(broker);
    await Promise.allSettled([
      client.readable.pipeTo(broker.writable),
      broker.readable.pipeTo(client.writable),
    ]);
    for (const connection of [client, broker]) {
      this.#connections.delete(connection);
      close(connection);
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was closed already.
  }
}
