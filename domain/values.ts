import { z } from "zod";

/**
 * Entity and event ids are UUIDv7 (RFC 9562 §5.7): their text order is their time order. Lower case
 * only, since an id is a record key, and keys are compared by their bytes.
 */
export const id = z.uuidv7().lowercase();
export type Id = string;

export const accountId = id;
export const postId = id;
export const mediaId = id;
export const commentId = id;

/** RFC 3339 in UTC. */
export const timestamp = z.iso.datetime();

/** Control characters (general category Cc) other than tab, line feed and carriage return. */
const controlCharacters = /(?![\t\n\r])\p{Cc}/u;

/**
 * Text a person typed: normalised to NFC, trimmed, free of lone surrogates (they have no UTF-8)
 * and of control characters other than tab and line feed. Lengths are in UTF-16 code units.
 */
export function text(limits: { min?: number; max: number }) {
  return z.string()
    .max(limits.max)
    .refine((value) => value.isWellFormed(), "holds a lone surrogate, which UTF-8 cannot carry")
    .refine((value) => !controlCharacters.test(value), "holds control characters")
    .transform((value) => value.replaceAll("\r\n", "\n").normalize("NFC").trim())
    .pipe(z.string().min(limits.min ?? 0).max(limits.max));
}

/**
 * 3 to 30 letters, digits, dots and underscores, starting and ending with a letter or digit.
 * Handles are shown as written and compared by `handleKey`.
 */
export const handle = z.string().regex(
  /^[A-Za-z0-9][A-Za-z0-9._]{1,28}[A-Za-z0-9]$/,
  "must be 3 to 30 letters, digits, dots or underscores, with a letter or digit at both ends",
);

/** Two handles are the same when their keys are: case makes no difference. */
export function handleKey(value: string): string {
  return value.toLowerCase();
}

export const displayName = text({ min: 1, max: 64 });
export const bio = text({ max: 500 });
export const caption = text({ max: 2200 });
export const altText = text({ min: 1, max: 1000 });
export const commentText = text({ min: 1, max: 2200 });

/** What a camera or an editor may upload. The worker trusts the bytes, not this. */
export const uploadContentType = z.enum([
  "image/jpeg",
  "image/png",
  "image/webp",
  "image/avif",
  "image/heic",
  "image/gif",
]);
export type UploadContentType = z.infer<typeof uploadContentType>;

/** Bytes: at most 50 MiB for one original. */
export const maximumUploadBytes = 50 * 1024 * 1024;
export const uploadByteLength = z.int().min(1).max(maximumUploadBytes);
