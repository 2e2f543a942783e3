/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { drawPhoto, type PhotoOptions } from "./photo.ts";

self.onmessage = async ({ data }: MessageEvent<PhotoOptions>) => {
  const photo = await drawPhoto(data);
  self.postMessage(photo, [photo.bytes.buffer]);
};
