"""The long run of the FlatBuffers verifier against C++: nothing may be accepted that C++ rejects.

    python bench/verifiers.py --mutants 1000000 --seed 1

Needs what the tests need: g++, cargo (for the C++ headers) and the package zlmdb (for flatc). Prints the
verdicts on each schema; fails at the first difference, with the buffer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "unit" / "schema")]

from cpp_comparison import SCHEMAS, compare  # noqa: E402


def main() -> int:
    """Compare, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=1_000_000, help="buffers in all")
    parser.add_argument("--seed", type=int, default=1, help="of values and mutations")
    arguments = parser.parse_args()
    for name in SCHEMAS:
        seen = compare(name, arguments.mutants // len(SCHEMAS), arguments.seed)
        print(f"{name}: {sum(seen.values())} buffers")
        for verdict, count in seen.most_common():
            print(f"  {verdict}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
