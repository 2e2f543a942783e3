/** Statements prepared per connection at most; what comes later is planned anew each time. */
const maximumStatements = 1000;

/** Names under which statements are prepared, the same on every connection of a pool. */
export class StatementNames {
  readonly #names = new Map<string, string>();

  nameOf(text: string): string | undefined {
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size >= maximumStatements) return known;
    const name = `s${this.#names.size}`;
    this.#names.set(text, name);
    return name;
  }
}
