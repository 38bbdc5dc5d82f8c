#!/usr/bin/env bash
# Builds dist/doorman.wasm. Needs: Node.js 18 with npm. Exit code 75: the packages could not be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The contract, beside our own world.
rm -rf wit/deps
mkdir -p wit/deps/maitred dist
cp ../../../wit/*.wit wit/deps/maitred/

npm ci || exit 75
npm run build
