#!/usr/bin/env bash
# Builds dist/{{name}}.wasm. Needs: Node.js 18 with npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

mkdir -p dist
npm ci
npm run build
