/** Another process, or this one, has the folder open. */
export class FolderInUse extends Error {
  override readonly name = "FolderInUse";
  constructor(readonly folder: string) {
    super(`${folder} is open in another process: one process at a time may use it`);
  }
}

/**
 * The database in the folder cannot be started: it is damaged, or another PostgreSQL made it.
 * Move the folder aside and fill a new one from the event log.
 */
export class FolderUnreadable extends Error {
  override readonly name = "FolderUnreadable";
  constructor(readonly folder: string, readonly reason: string) {
    super(`the database in ${folder} cannot be started: ${reason}`);
  }
}
