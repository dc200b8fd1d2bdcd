#!/bin/sh
# Makes the numbers of tests/fixtures/importance_fixture.h anew with PyTorch and compares them with the committed
# ones. Skipped (exit code 77) without python3 and torch. AGN_PYTHON names another python3 (of a virtual environment).
root=${AGN_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
python=${AGN_PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "skipped: $python has no torch; with it, the fixture's numbers would be computed anew and compared"
    exit 77
fi
exec "$python" "$root/tests/fixtures/make_importance_fixture.py" --compare "$root/tests/fixtures/importance_fixture.h"
