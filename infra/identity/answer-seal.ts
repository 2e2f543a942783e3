import { SealBroken } from "../event-log/codec.ts";
import { openText, sealText } from "./aes-gcm.ts";
import { deriveBytes } from "./server-secret.ts";

/**
 * Seals the answers that are kept for retries: some hold tokens, which the identity store keeps only
 * as hashes. An answer opens for the scope and key it was given under and no other.
 */
export class AnswerSeal {
  readonly #key: Uint8Array;

  private constructor(key: Uint8Array) {
    this.#key = key;
  }

  static async derive(secret: Uint8Array<ArrayBuffer>): Promise<AnswerSeal> {
    return new AnswerSeal(await deriveBytes(secret, "answers", 32));
  }

  seal(scope: string, key: string, answer: string): string {
    return sealText(this.#key, [scope, key], answer);
  }

  /**
   * Undefined when it does not open, as after a change of the server secret: the request is then
   * carried out again under its reserved ids.
   */
  open(scope: string, key: string, sealed: string): string | undefined {
    try {
      return openText(this.#key, [scope, key], sealed);
    } catch (error) {
      if (error instanceof SealBroken) return undefined;
      throw error;
    }
  }
}
