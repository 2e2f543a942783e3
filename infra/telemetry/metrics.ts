import { Registry } from "prom-client";

/** Every metric of this process, shown at `/metrics`. Names begin with `shutterlog_`. */
export const metrics: Registry = new Registry();
