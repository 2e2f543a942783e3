const style = `
:root { color-scheme: light dark; --ink: #1d2327; --quiet: #5b6770; --paper: #fbfaf7; --line: #dcd8cf; --accent: #a3431f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ece8e0; --quiet: #a29d93; --paper: #16181a; --line: #33373a; --accent: #f0936b; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 ui-serif, Georgia, "Times New Roman", serif; }
main { max-width: 40rem; margin: 0 auto; padding: clamp(3rem, 12vh, 8rem) 1.5rem 4rem; }
h1 { font-size: clamp(2.2rem, 6vw, 3.2rem); line-height: 1.1; letter-spacing: -0.02em; margin: 1rem 0; }
p { margin: 0 0 1.2rem; text-wrap: pretty; }
.quiet { color: var(--quiet); }
a { color: var(--accent); text-underline-offset: 0.2em; }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
ul { list-style: none; margin: 2.5rem 0; padding: 0; border-top: 1px solid var(--line); }
li { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0.85rem 0; border-bottom: 1px solid var(--line); }
li a { flex: 0 0 9rem; font-weight: 600; }
pre { overflow-x: auto; padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: 0.5rem; font: 0.875rem/1.6 ui-monospace, Menlo, Consolas, monospace; }
svg { display: block; width: 3.5rem; height: 3.5rem; color: var(--accent); }
`;

/** The aperture of a shutter: six blades around a hole. */
const blades = Array.from(
  { length: 6 },
  (_, n) => `<path d="M32 4 46.5 29.1" transform="rotate(${n * 60} 32 32)"/>`,
).join("");

/** What someone sees who opens the server in a browser. It needs nothing but itself. */
export const homePage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="An event-sourced backend for sharing photographs.">
<title>Shutterlog</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<svg viewBox="0 0 64 64" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" aria-hidden="true"><circle cx="32" cy="32" r="28"/>${blades}</svg>
<h1>Shutterlog</h1>
<p>A backend for sharing photographs: people post them, follow one another and read feeds. Every fact is an event in a log; what you read is made from it, and can be made again.</p>
<ul>
<li><a href="/docs">Documentation</a> <span class="quiet">every request, to read and to try</span></li>
<li><a href="/openapi.json">openapi.json</a> <span class="quiet">the same for machines, OpenAPI 3.1</span></li>
<li><a href="/healthz">Health</a> <span class="quiet">this process answers</span></li>
<li><a href="/readyz">Readiness</a> <span class="quiet">and so do its engines</span></li>
<li><a href="/metrics">Metrics</a> <span class="quiet">for Prometheus</span></li>
</ul>
<p>To begin, open an account:</p>
<pre><code>curl -s -X POST -H 'Content-Type: application/json' \\
  -d '{"handle": "ada", "password": "correct horse battery"}' \\
  &lt;this address&gt;/v1/accounts</code></pre>
</main>
</body>
</html>
`;

/** Nothing but the page's own style, known by its hash. */
export async function homePolicy(): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
  return `default-src 'none'; style-src 'sha256-${new Uint8Array(hash).toBase64()}'; ` +
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}
