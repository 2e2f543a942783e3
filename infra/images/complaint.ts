import { maximumPixels } from "../../domain/media.ts";
import { Unprocessable } from "./port.ts";
import { endsEarly, type Format } from "./sniff.ts";

/** What libvips and its decoders say when memory or descriptors run out: that may pass. */
const exhaustion = /memory|bad_alloc|too many open files|no space left|temporarily unavailable/i;
/** libheif's own bounds on what a file may claim; it files them under memory errors. */
const securityLimit = /security limit/i;
/** How each decoder begins its complaint about a file. */
const complaint =
  /Input buffer (has corrupt header|contains unsupported)|VipsJpeg:|vipspng:|webp(2vips)?:|heif:|gifload_buffer:|source: bad seek/;

/**
 * The rejection that a decoder's error amounts to. Undefined when the file may not be to blame: a
 * good photograph must not be rejected for want of memory, so what is not known is not blamed on it.
 */
export function rejection(
  error: unknown,
  format: Format,
  original: Uint8Array,
): Unprocessable | undefined {
  const message = error instanceof Error ? error.message : String(error);
  if (/exceeds pixel limit/.test(message)) return tooManyPixels("too many");
  const blamed = securityLimit.test(message) ||
    (complaint.test(message) && !exhaustion.test(message));
  if (!blamed) return undefined;
  return endsEarly(format, original)
    ? new Unprocessable("truncated", "The file breaks off before its end.", { cause: error })
    : new Unprocessable("corrupt", "The file is damaged.", { cause: error });
}

export function tooManyPixels(found: string): Unprocessable {
  return new Unprocessable(
    "too-many-pixels",
    `The image has ${found} pixels; at most ${maximumPixels / 1e6} megapixels can be used.`,
  );
}
