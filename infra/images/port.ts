import type { RejectionReason, VariantName } from "../../domain/media.ts";

/** Makes the three variants of a photograph. */
export interface ImageProcessor {
  /** The version of how uploads are made: a change of size, format or quality is a new recipe. */
  readonly recipe: number;
  /**
   * Decodes once, makes all three variants and the placeholder, by another recipe where one is named.
   * The same bytes and recipe give the same bytes.
   * @throws {Unprocessable} when these bytes can never become variants.
   */
  process(original: Uint8Array, recipe?: number): Promise<ProcessedImage>;
}

export interface ProcessedImage {
  /** Pixels of the original, upright. */
  readonly width: number;
  readonly height: number;
  /** Base64 thumbhash. */
  readonly placeholder: string;
  readonly variants: Readonly<Record<VariantName, EncodedImage>>;
}

export interface EncodedImage {
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly contentType: string;
  /** File name extension, without the dot. */
  readonly extension: string;
}

export class Unprocessable extends Error {
  override readonly name = "Unprocessable";
  /** `detail` is one sentence for the person who uploaded it. */
  constructor(readonly reason: RejectionReason, readonly detail: string, options?: ErrorOptions) {
    super(`${reason}: ${detail}`, options);
  }
}
