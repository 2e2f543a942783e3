/** Remembers that it was raised until somebody has waited for it, so that no wake-up is lost. */
export class WakeUp {
  #flag = Promise.withResolvers<void>();

  raise(): void {
    this.#flag.resolve();
  }

  async raised(): Promise<void> {
    await this.#flag.promise;
    this.#flag = Promise.withResolvers<void>();
  }
}
