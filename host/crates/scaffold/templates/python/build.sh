#!/usr/bin/env bash
# Builds dist/{{name}}.wasm. Needs: Python 3.10 with venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

mkdir -p build dist
# The tool, in a folder of its own. The component holds a Python of its own, whatever the version of this one.
[ -x build/venv/bin/pip ] || python3 -m venv build/venv
build/venv/bin/pip install --quiet --requirement requirements.txt
build/venv/bin/componentize-py --wit-path wit --world policy componentize --stub-wasi policy --output dist/{{name}}.wasm
