#!/usr/bin/env bash
# Builds dist/doorman.wasm. Needs: Python 3.10 with venv. Exit code 75: the tool could not be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The contract, beside our own world.
rm -rf wit/deps
mkdir -p wit/deps/maitred build dist
cp ../../../wit/*.wit wit/deps/maitred/

# The tool, in a folder of its own. The component holds a Python of its own, whatever the version of this one.
[ -x build/venv/bin/pip ] || python3 -m venv build/venv
build/venv/bin/pip install --quiet --requirement requirements.txt || exit 75
build/venv/bin/componentize-py --wit-path wit --world doorman componentize --stub-wasi doorman --output dist/doorman.wasm
