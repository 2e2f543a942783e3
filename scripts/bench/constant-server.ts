/**
 * Answers every request with the same bytes: the limit of the server itself. Takes the answer's
 * headers and body as JSON on standard input, and prints its port.
 */
const { headers, body } = await new Response(Deno.stdin.readable).json();
const init = { headers };
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(port),
  handler: () => new Response(body, init),
});
