#!/usr/bin/env bash
# Builds dist/{{name}}.wasm. Needs: clang, lld and wasi-libc (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32), maitred.
#
#   WASI_CC   the compiler, where it is another: "/opt/wasi-sdk/bin/clang", "python3 -m ziglang cc -target wasm32-wasi"
#   MAITRED   the program, where it is not on the path
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

mkdir -p build dist
compiler=${WASI_CC:-clang --target=wasm32-wasi --sysroot=/usr -I/usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi}
# shellcheck disable=SC2086 # words on purpose
$compiler -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Oz -flto -Ibindings \
    -mexec-model=reactor -Wl,--no-entry -Wl,-s \
    policy.c json.c text.c bindings/policy.c bindings/policy_component_type.o -o build/core.wasm

"${MAITRED:-maitred}" plugin componentize build/core.wasm -o dist/{{name}}.wasm
