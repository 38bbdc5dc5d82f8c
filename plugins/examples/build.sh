#!/usr/bin/env bash
# Builds the examples to LANGUAGE/dist/doorman.wasm, says how long each took and looks at what each asks for.
#
#   plugins/examples/build.sh all             rust, js, python and c
#   plugins/examples/build.sh js python       these
#
# A language whose tools cannot be had is skipped with a line "SKIPPED: LANGUAGE, WHY"; one that has its tools and does not build fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ $# -eq 0 ]; then
    sed -n '2,8s/^# \{0,1\}//p' build.sh
    exit 2
fi
languages=("$@")
[ "$*" = all ] && languages=(rust js python c)
for language in "${languages[@]}"; do
    if [ ! -x "$language/build.sh" ]; then
        echo "build.sh: no example in $language (known: rust js python c, all)" >&2
        exit 2
    fi
done

# What a build says when its registry does not answer.
NOT_FETCHED=75

# Prints why the tools of a language are not here; where apt-get may be used, gets them first.
lacks() {
    case "$1" in
        rust) command -v cargo >/dev/null || echo "no cargo" ;;
        js) command -v npm >/dev/null || install nodejs npm || echo "no npm" ;;
        python) python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || install python3-venv || echo "no Python 3.10 with venv" ;;
        c) has_wasi || install clang lld wasi-libc libclang-rt-14-dev-wasm32 || echo "no clang for wasm32-wasi, and WASI_CC is not set" ;;
    esac
}

has_wasi() {
    [ -n "${WASI_CC:-}" ] || { command -v clang >/dev/null && command -v wasm-ld >/dev/null && [ -e /usr/lib/wasm32-wasi/libc.a ]; }
}

# Debian's packages, as far as apt-get, the network and our rights reach.
install() {
    local as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo -n"
    command -v apt-get >/dev/null || return 1
    local apt="timeout 300 apt-get -q -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60"
    # shellcheck disable=SC2086 # words on purpose
    { $as_root env DEBIAN_FRONTEND=noninteractive $apt update &&
        $as_root env DEBIAN_FRONTEND=noninteractive $apt install -y --no-install-recommends "$@"; } >&2
}

# Makes the component in C, and looks at all of them.
began=$SECONDS
cargo build --quiet --locked -p maitred-scaffold --examples
printf 'BUILT: the tool of this tree, %d s\n' $((SECONDS - began))

failed=0
for language in "${languages[@]}"; do
    began=$SECONDS
    why=$(lacks "$language")
    if [ -n "$why" ]; then
        echo "SKIPPED: $language, $why"
        continue
    fi
    got=$((SECONDS - began))
    began=$SECONDS
    status=0
    "$language/build.sh" || status=$?
    if [ "$status" -eq "$NOT_FETCHED" ]; then
        echo "SKIPPED: $language, its tools could not be fetched"
        continue
    fi
    if [ "$status" -ne 0 ]; then
        echo "FAILED: $language"
        failed=1
        continue
    fi
    built=$((SECONDS - began))
    wasm="$language/dist/doorman.wasm"
    # Fails where it asks for files, sockets or HTTP.
    if ! cargo run --quiet --locked -p maitred-scaffold --example inspect "$wasm"; then
        echo "FAILED: $language"
        failed=1
    fi
    printf 'BUILT: %s, %d octets, %d s (tools: %d s)\n' "$language" "$(wc -c <"$wasm")" "$built" "$got"
done
exit "$failed"
