"""`python -m tests.benchmarks`: every table in one run; exits 1 if a target was missed.

On a machine that was busy before it began, only the targets that are ratios count.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

BUSY = ": busy, so milliseconds mean little and only the ratios count"


def main() -> int:
    """Measure what was named, print the tables; 1 if a target was missed."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks import claim, engines, history, passing, sharing, waking

    benchmarks = {"passing": passing, "claim": claim, "waking": waking, "history": history, "sharing": sharing}
    benchmarks["engines"] = engines
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(benchmarks)} [all]")
    parser.add_argument("--smallest", action="store_true", help="only see that they run; the figures mean nothing")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in benchmarks]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(benchmarks)}")
    began, load, cores = time.monotonic(), os.getloadavg()[0], os.cpu_count() or 1
    missed = False
    for name in given.names or benchmarks:
        with tempfile.TemporaryDirectory(prefix="buildguard-benchmark-") as folder:
            table = benchmarks[name].measure(Path(folder), given.smallest)
        print(table, end="\n\n", flush=True)
        missed = missed or table.missed(busy=load > cores)
    took = f"{time.monotonic() - began:.0f} s, Python {platform.python_version()}"
    print(f"took {took}; {cores} cores, load before it {load:.1f}{BUSY if load > cores else ''}")
    return int(missed and not given.smallest)


if __name__ == "__main__":
    sys.exit(main())
