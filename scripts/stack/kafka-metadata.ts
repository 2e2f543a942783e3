/** Milliseconds for the whole exchange. */
const deadline = 2_000;

/**
 * How many brokers of its cluster a broker would name to a client: Metadata, version 1, asking for no
 * topic (https://kafka.apache.org/protocol#The_Messages_Metadata).
 * @throws when it does not answer.
 */
export async function brokerCount(address: string): Promise<number> {
  const [hostname = "", port] = address.split(":");
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const timer = setTimeout(() => closeQuietly(connection), deadline);
  try {
    const request = new DataView(new ArrayBuffer(4 + 10 + 4));
    request.setInt32(0, 14); // bytes that follow
    request.setInt16(4, 3); // Metadata
    request.setInt16(6, 1); // version
    request.setInt32(8, 1); // correlation id
    request.setInt16(12, -1); // no client id
    request.setInt32(14, 0); // no topics
    const writer = connection.writable.getWriter();
    await writer.write(new Uint8Array(request.buffer));
    writer.releaseLock();
    // Length and correlation id, then the brokers' count.
    return (await read(connection, 12)).getInt32(8);
  } finally {
    clearTimeout(timer);
    closeQuietly(connection);
  }
}

async function read(connection: Deno.Conn, bytes: number): Promise<DataView> {
  const buffer = new Uint8Array(bytes);
  for (let filled = 0; filled < bytes;) {
    const count = await connection.read(buffer.subarray(filled));
    if (count === null) throw new Error("the broker hung up");
    filled += count;
  }
  return new DataView(buffer.buffer);
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
