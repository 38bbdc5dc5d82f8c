#!/usr/bin/env bash
# Builds dist/doorman.wasm. Needs: rustup. Exit code 75: its target could not be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

[ -d "$(rustc --print target-libdir --target wasm32-wasip2)" ] || rustup target add wasm32-wasip2 || exit 75
cargo build -p doorman --profile guest --target wasm32-wasip2

# Where cargo builds to is the tree's affair.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p dist
cp "$target/wasm32-wasip2/guest/doorman.wasm" dist/doorman.wasm
