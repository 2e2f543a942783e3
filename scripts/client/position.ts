/** At most this many places are sent: the server takes no more in one `Await-Position`. */
const maximumPlaces = 128;

/** Keeps the highest offset of each place that commands have answered in their `Position` header. */
export class PositionKeeper {
  readonly #offsets = new Map<string, number>();

  keep(header: string | null): void {
    for (const part of header?.split(",") ?? []) {
      const at = part.lastIndexOf(":");
      const place = part.slice(0, at).trim();
      const offset = Number(part.slice(at + 1));
      const highest = Math.max(offset, this.#offsets.get(place) ?? 0);
      // Put last, so that the oldest places fall out first.
      this.#offsets.delete(place);
      if (at > 0 && Number.isInteger(offset)) this.#offsets.set(place, highest);
    }
  }

  /** The value of `Await-Position`; undefined when no command was sent yet. */
  get header(): string | undefined {
    const places = [...this.#offsets].slice(-maximumPlaces);
    return places.map(([place, offset]) => `${place}:${offset}`).join(",") || undefined;
  }
}
