import { development } from "../deploy/settings.ts";

/** What a production must not be run with, as issues of its schema. */
export function developmentSecrets(config: {
  readonly POSTGRES_URL: string;
  readonly POSTGRES_REPLICA_URLS: readonly string[];
  readonly S3_SECRET_ACCESS_KEY: string;
  readonly SERVER_SECRETS: readonly string[];
}): { path: string[]; message: string }[] {
  const problems: { path: string[]; message: string }[] = [];
  const refuse = (variable: string, message: string) =>
    problems.push({ path: [variable], message });

  if (config.S3_SECRET_ACCESS_KEY === development.s3.secretAccessKey) {
    refuse("S3_SECRET_ACCESS_KEY", "is the one of development: give the store a secret of its own");
  }
  const passwords: readonly string[] = [development.postgres.password];
  for (const variable of ["POSTGRES_URL", "POSTGRES_REPLICA_URLS"] as const) {
    if ([config[variable]].flat().some((url) => passwords.includes(passwordOf(url)))) {
      refuse(variable, "bears the password of development: give the role one of its own");
    }
  }
  if (config.SERVER_SECRETS.some(isGuessable)) {
    refuse("SERVER_SECRETS", "is not random: draw one with openssl rand -base64 32");
  }
  return problems;
}

function passwordOf(url: string): string {
  return URL.canParse(url) ? decodeURIComponent(new URL(url).password) : "";
}

/**
 * The local stack draws its server secret, so none is known; but those of examples and tests are one
 * byte or a few repeated. Fewer than 16 of 32 random bytes differ once in 10^16 draws.
 */
function isGuessable(secret: string): boolean {
  return new Set(Uint8Array.fromBase64(secret)).size < 16;
}
