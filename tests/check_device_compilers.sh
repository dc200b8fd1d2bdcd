#!/bin/sh
# The device library gives the same bits with other compilers, flags and byte orders, as far as these are installed;
# its headers are C++ too. scripts/check-device-compilers.sh without --quick is the long run.
set -eu
exec "${AGN_SOURCE_DIR:?the source folder}/scripts/check-device-compilers.sh" --quick --build "${AGN_BINARY_DIR:?the build folder}"
