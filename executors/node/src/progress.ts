/** Progress of one job: at most one report in 300 ms, and never one less than the last. */

const INTERVAL_MS = 300;

/** Passes the first value on at once, and the latest one when the time has come. */
export class Progress {
  #pending: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly send: (progress: number) => void) {}

  /** Takes a value from 0 to 100. */
  report(progress: number): void {
    this.#pending = progress;
    if (this.#timer === undefined) {
      this.flush();
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        if (this.#pending !== undefined) {
          this.report(this.#pending);
        }
      }, INTERVAL_MS);
      this.#timer.unref();
    }
  }

  /** Sends what is held back. */
  flush(): void {
    const progress = this.#pending;
    this.#pending = undefined;
    if (progress !== undefined) {
      this.send(progress);
    }
  }

  /** Sends what is held back and ends. */
  end(): void {
    clearTimeout(this.#timer);
    this.flush();
  }
}
