import { hash, verify } from "@node-rs/argon2";
import { z } from "zod";

/**
 * 8 to 200 characters, any of them (NIST SP 800-63B §3.1.1): no rule of composition. Well-formed,
 * since a lone surrogate has no UTF-8 and two different passwords would hash alike.
 */
export const password = z.string()
  .max(400)
  .refine((value) => value.isWellFormed(), "holds a lone surrogate, which UTF-8 cannot carry")
  .refine((value) => /^.{8,200}$/su.test(value), "must have 8 to 200 characters");

/** OWASP Password Storage Cheat Sheet: argon2id (the library's default) with 19 MiB, t = 2, p = 1. */
const parameters = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Of no password: salt and tag are zeroes. By the parameters above, so that checking takes as long. */
export const dummyHash =
  "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/** A sign-in storm takes this many cores and 19 MiB for each, and no more. */
const maximumAtOnce = 2;
/** Some two seconds' worth. */
const maximumWaiting = 64;

/** Too many passwords wait to be hashed; trying again in some seconds is safe. */
export class Overloaded extends Error {
  override readonly name = "Overloaded";
}

/**
 * A salted hash as a PHC string, made off the event loop.
 * @throws {Overloaded}
 */
export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(normalised(password), parameters));
}

/**
 * Whether the password is the one that was hashed. Without a hash (no such account, or a closed one)
 * it never is, and finding that out takes as long: the time tells nobody which accounts exist.
 * @throws {Overloaded}
 */
export function verifyPassword(
  passwordHash: string | undefined,
  password: string,
): Promise<boolean> {
  return inTurn(() => verify(passwordHash ?? dummyHash, normalised(password)));
}

/** The same password typed on another keyboard may come composed differently (NIST: NFKC). */
function normalised(password: string): string {
  return password.normalize("NFKC");
}

let running = 0;
const waiting: (() => void)[] = [];

/** First come, first served. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running < maximumAtOnce) running++;
  else if (waiting.length < maximumWaiting) {
    // Whoever finishes hands over its place, so `running` stays as it is.
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else throw new Overloaded(`${maximumWaiting} passwords are waiting to be hashed already`);
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}
