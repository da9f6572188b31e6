#!/usr/bin/env bash
# Installs what Debian 12 lacks for the named sets (build, test); silent and quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

build=(
    gcc libc6-dev make meson ninja-build pkg-config python3 git
    libuv1-dev libnghttp2-dev node-llhttp libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
    libssl-dev libcurl4-openssl-dev libjansson-dev libyaml-dev liblmdb-dev libxxhash-dev zlib1g-dev libcmocka-dev libhiredis-dev
    curl # not to build, but to try what `make run` started
)
test=(
    clang llvm libclang-rt-14-dev clang-format clang-tidy cppcheck g++ libpq-dev mandoc
    python3-pytest python3-pytest-xdist python3-grpcio python3-kubernetes python3-yaml python3-protobuf protobuf-compiler-grpc
    nodejs npm nginx-light wrk nghttp2-client redis-server redis-tools prometheus procps
)

wanted=()
for set in "$@"; do
    case $set in
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    *) echo "deps.sh: unknown set '$set' (build, test)" >&2; exit 2 ;;
    esac
done

# A package counts when it is installed, or when its program came some other way.
present() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' && return 0
    case $1 in
    nodejs) command -v node >/dev/null ;;
    npm) command -v npm >/dev/null ;;
    git | make | gcc | curl) command -v "$1" >/dev/null ;;
    *) return 1 ;;
    esac
}

missing=()
for package in "${wanted[@]}"; do
    present "$package" || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || {
        echo "These packages of Debian 12 are missing, and there is no apt-get to install them: ${missing[*]}" >&2
        exit 1
    }
    echo "Installing ${#missing[@]} packages: ${missing[*]}"
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo=$(command -v sudo) && $sudo true || {
            echo "Only root may install them:" >&2
            echo "    apt-get install -y --no-install-recommends ${missing[*]}" >&2
            exit 1
        }
    fi
    log=$(mktemp)
    # Servers that come as packages must not start by themselves: the tests start their own.
    guard=/usr/sbin/policy-rc.d
    made=
    if [ ! -e $guard ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $guard >/dev/null && $sudo chmod +x $guard && made=1
    fi
    trap '[ -z "$made" ] || $sudo rm -f $guard; rm -f "$log"' EXIT
    # A machine that has just started may be installing its updates: wait for the lock.
    apt=($sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    for try in 1 2 3; do
        if "${apt[@]}" update >"$log" 2>&1 &&
            "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
            break
        fi
        if [ "$try" = 3 ]; then
            tail -30 "$log" >&2
            exit 1
        fi
    done
fi

# The JavaScript client of the integration tests.
case " $* " in
*" test "*)
    js=tests/integration/js
    if [ -f $js/package-lock.json ] && ! cmp -s $js/package-lock.json $js/node_modules/.installed; then
        echo "Installing the JavaScript packages of the tests"
        (cd $js && npm ci --loglevel=error --no-audit --no-fund >/dev/null && cp package-lock.json node_modules/.installed)
    fi
    ;;
esac
