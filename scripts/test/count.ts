import type { TestRun } from "./deno-test.ts";

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
  /** What failed besides tests, a sentence each. */
  readonly problems: readonly string[];
}

/**
 * Counts what runs of `deno test` came to. Tests are counted by its JUnit report, a test with steps
 * once. The report says nothing of modules that failed to load, nor of a run that crashed: the
 * output and the exit code do, and each counts as a failure.
 */
export function countTests(runs: readonly TestRun[]): TestCounts {
  const all = runs.map(countRun);
  const sum = (key: "passed" | "failed" | "ignored") =>
    all.reduce((total, counts) => total + counts[key], 0);
  const problems = all.flatMap((counts) => counts.problems);
  const [passed, ignored, failed] = [sum("passed"), sum("ignored"), sum("failed")];
  if (passed + failed > 0) return { passed, failed, ignored, problems };
  problems.push("no test ran: is the path or the filter right?");
  return { passed, failed: 1, ignored, problems };
}

function countRun(run: TestRun): TestCounts {
  const counts = { passed: 0, failed: 0, ignored: 0 };
  for (const suite of run.report.split("<testsuite ").slice(1)) {
    const tests: string[] = [];
    for (const testcase of suite.split("<testcase ").slice(1)) {
      const name = /^name="([^"]*)"/.exec(testcase)?.[1] ?? "";
      if (tests.some((test) => name.startsWith(`${test} &gt; `))) continue;
      tests.push(name);
      if (/<(failure|error)\b/.test(testcase)) counts.failed++;
      else if (/<skipped\b/.test(testcase)) counts.ignored++;
      else counts.passed++;
    }
  }

  const problems = modulesThatThrew(run.output);
  counts.failed += problems.length;
  if (run.code !== 0 && counts.failed === 0) {
    problems.push(`deno test ended with exit code ${run.code} and without a failing test`);
    counts.failed++;
  }
  return { ...counts, problems };
}

function modulesThatThrew(output: string): string[] {
  // deno-lint-ignore no-control-regex -- the colours of a terminal
  const plain = output.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const names = [...plain.matchAll(/^(\S+) \(uncaught error\)$/gm)].map(([, name]) => name);
  return [...new Set(names)].map((name) => `${name} threw outside of a test`);
}
