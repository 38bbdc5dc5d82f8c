#!/usr/bin/env bash
# Builds dist/doorman.wasm. Needs: clang, lld and wasi-libc (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32), cargo.
#
#   WASI_CC   the compiler, where it is another: "/opt/wasi-sdk/bin/clang", "python3 -m ziglang cc -target wasm32-wasi"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The contract, beside our own world.
rm -rf wit/deps build
mkdir -p wit/deps/maitred build dist
cp ../../../wit/*.wit wit/deps/maitred/

# doorman.c, doorman.h and an object file that holds the description of the world.
tool="cargo run --quiet --locked -p maitred-scaffold --example"
$tool bindings wit doorman build

compiler=${WASI_CC:-clang --target=wasm32-wasi --sysroot=/usr -I/usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi}
# shellcheck disable=SC2086 # words on purpose
$compiler -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Oz -flto -Ibuild \
    -mexec-model=reactor -Wl,--no-entry -Wl,-s \
    doorman.c json.c text.c build/doorman.c build/doorman_component_type.o -o build/core.wasm

$tool componentize build/core.wasm dist/doorman.wasm
