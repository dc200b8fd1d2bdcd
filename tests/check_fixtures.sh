#!/bin/sh
# Makes the numbers of tests/fixtures/*_fixture.h anew with PyTorch and compares them with the committed ones. Skipped
# (exit code 77) where no python3 has torch. AGN_PYTHON names the python3 to use (of a virtual environment).
set -eu
root=${AGN_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
export PYTHONDONTWRITEBYTECODE=1

python=
# Debian's packages belong to /usr/bin/python3, which another python3 in PATH may hide.
for candidate in ${AGN_PYTHON:-python3 /usr/bin/python3}; do
    if [ -z "$python" ] && "$candidate" -c 'import torch' 2>/dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "skipped: no python3 with torch, so the fixtures' numbers are not computed anew (the tests that use them run all"
    echo "the same). Debian's python3-torch is not installed by default, since it brings 190 MB of packages (800 MB on"
    echo "disk): install it, or name a python3 that has torch in AGN_PYTHON."
    exit 77
fi
for name in importance joint_step; do
    "$python" "$root/tests/fixtures/make_${name}_fixture.py" --compare "$root/tests/fixtures/${name}_fixture.h"
done
