# SPDX-License-Identifier: BSD-3-Clause
"""Check what a wheel contains: all a user needs, nothing else, and little of it.

python check_wheel.py WHEEL
"""

import re
import sys
import zipfile
from pathlib import PurePosixPath

LARGEST = 1_250_000  # about a megabyte, with a quarter more for options that have kernels of their own

NEEDED = (
    r"fastloss/__init__\.py",
    r"fastloss/__main__\.py",
    r"fastloss/_core\.(abi3\.so|cpython-\w+-[\w-]+\.so|pyd)",
    r"fastloss/_core\.pyi",
    r"fastloss/py\.typed",
    r"fastloss/cli/__init__\.py",
    r"fastloss/reference/__init__\.py",
    r"fastloss/data/.+",
    r"fastloss-[^/]+\.dist-info/licenses/LICENSE",
    r"fastloss-[^/]+\.dist-info/entry_points\.txt",
)

# Sources of the compiled part, tests and anything beside the package are for the sdist.
ALLOWED = r"fastloss/.*\.(py|pyi|so|pyd|typed|npz|gz|csv|md|txt)|fastloss-[^/]+\.dist-info/.*"


def problems(path: str) -> list[str]:
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]
        size = sum(entry.compress_size for entry in wheel.infolist())
    found = [f"missing: {pattern}" for pattern in NEEDED if not any(re.fullmatch(pattern, name) for name in names)]
    found += [
        f"unexpected: {name}"
        for name in names
        if not re.fullmatch(ALLOWED, name) or "test" in PurePosixPath(name).name.lower()
    ]
    if size > LARGEST:
        found.append(f"{size} bytes, at most {LARGEST} are allowed")
    print(f"{path}: {len(names)} files, {size} bytes")
    return found


if __name__ == "__main__":
    trouble = [line for path in sys.argv[1:] for line in problems(path)]
    print(*trouble, sep="\n")
    sys.exit(bool(trouble) or len(sys.argv) == 1)
