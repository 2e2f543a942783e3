import { z } from "zod";
import { rejectionReason, variantNames } from "../../domain/media.ts";
import { FrameReader, FrameWriter } from "./frames.ts";
import { type ImageProcessor, type ProcessedImage, Unprocessable } from "./port.ts";
import type { Logger } from "../telemetry/logger.ts";
import { recipe } from "./recipe.ts";

export interface IsolatedProcessor extends ImageProcessor, AsyncDisposable {
  /** Waits for the images in hand and ends the processes. */
  close(): Promise<void>;
}

/** The image's process ended, or took too long and was ended. Another attempt may fare better. */
export class ImageProcessDied extends Error {
  override readonly name = "ImageProcessDied";
}

/** Longer than any image under the pixel limit takes on a busy core. */
const timeLimitMs = 120_000;

/**
 * Decodes in child processes, one image at a time in each, so that a file which crashes libvips or
 * exhausts memory ends its own process and nothing else: for the caller that is a failure like any
 * other, which it can count and give up on. A process is started when first needed and again when
 * it has died. It may read and use native code, and may neither write nor open a connection.
 */
export function createIsolatedProcessor(
  { processes, logger }: { processes: number; logger: Logger },
): IsolatedProcessor {
  const idle = Array.from({ length: processes }, () => new ImageProcess(logger));
  const all = [...idle];
  const waiting: ((process: ImageProcess) => void)[] = [];
  const take = () => {
    const free = idle.pop();
    return free ? Promise.resolve(free) : new Promise<ImageProcess>((give) => waiting.push(give));
  };
  const giveBack = (process: ImageProcess) => {
    const next = waiting.shift();
    if (next) next(process);
    else idle.push(process);
  };
  const close = async () => {
    for (const _ of all) await take();
    await Promise.all(all.map((process) => process.close()));
  };
  return {
    recipe,
    async process(original, named = recipe) {
      const process = await take();
      try {
        return await process.process(original, named);
      } finally {
        giveBack(process);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const described = z.strictObject({
  width: z.int().positive(),
  height: z.int().positive(),
  contentType: z.string(),
  extension: z.string(),
});

export const request = z.strictObject({ recipe: z.int() });

export const reply = z.discriminatedUnion("outcome", [
  z.strictObject({
    outcome: z.literal("processed"),
    image: z.strictObject({
      width: z.int().positive(),
      height: z.int().positive(),
      placeholder: z.string(),
    }),
    /** Their bytes are the blobs, in the order of `variantNames`. */
    variants: z.strictObject({ thumbnail: described, medium: described, large: described }),
  }),
  z.strictObject({
    outcome: z.literal("unprocessable"),
    reason: rejectionReason,
    detail: z.string(),
  }),
  z.strictObject({ outcome: z.literal("failed"), message: z.string() }),
]);

class ImageProcess {
  readonly #logger: Logger;
  #running: Running | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  async process(original: Uint8Array, recipe: number): Promise<ProcessedImage> {
    const running = this.#running ??= start(this.#logger);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      running.child.kill("SIGKILL");
    }, timeLimitMs);
    try {
      // A process that dies breaks the pipe, ends the stream, or both: its status says which death.
      await running.input.write({ header: { recipe }, blobs: [original] }).catch(() => {});
      const frame = await running.output.read().catch(() => undefined);
      if (frame) return unpack(reply.parse(frame.header), frame.blobs);
    } finally {
      clearTimeout(timer);
    }
    this.#running = undefined;
    const { code, signal } = await end(running);
    throw new ImageProcessDied(
      late
        ? `the image took longer than ${timeLimitMs / 1000} s`
        : `the image process ended with ${signal ?? `exit code ${code}`}`,
    );
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running) await end(running);
  }
}

/** A process that is alive ends when its input does. */
async function end({ child, input, output }: Running): Promise<Deno.CommandStatus> {
  await input.close().catch(() => {});
  await output.cancel();
  return await child.status;
}

interface Running {
  readonly child: Deno.ChildProcess;
  readonly input: FrameWriter;
  readonly output: FrameReader;
}

function start(logger: Logger): Running {
  const script = new URL("./image-process.ts", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--cached-only",
      "--allow-ffi",
      "--allow-read",
      "--allow-env",
      script.href,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  // Where Linux must end a process for want of memory, let it be this one. Elsewhere: no such file.
  Deno.writeTextFile(`/proc/${child.pid}/oom_score_adj`, "1000").catch(() => {});
  logger.debug("image process started", { pid: child.pid });
  return {
    child,
    input: new FrameWriter(child.stdin),
    output: new FrameReader(child.stdout),
  };
}

function unpack(answer: z.infer<typeof reply>, blobs: readonly Uint8Array[]): ProcessedImage {
  switch (answer.outcome) {
    case "processed": {
      const bytes = (name: typeof variantNames[number]) =>
        blobs[variantNames.indexOf(name)] ?? new Uint8Array();
      const { thumbnail, medium, large } = answer.variants;
      return {
        ...answer.image,
        variants: {
          thumbnail: { ...thumbnail, bytes: bytes("thumbnail") },
          medium: { ...medium, bytes: bytes("medium") },
          large: { ...large, bytes: bytes("large") },
        },
      };
    }
    case "unprocessable":
      throw new Unprocessable(answer.reason, answer.detail);
    case "failed":
      throw new Error(answer.message);
  }
}
