#!/usr/bin/env bash
# fuzz.sh SECONDS: every fuzz target under libFuzzer with ASan and UBSan, that long each. A crash leaves its input in build-fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
CC=clang tools/build.sh build-fuzz -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Dfuzzers=true
found=0
for target in build-fuzz/tests/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=${target##*/fuzz_}
    found=$((found + 1))
    mkdir -p "build-fuzz/corpus/$name"
    echo "fuzz: $name for $seconds s"
    "$target" -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix=build-fuzz/ "build-fuzz/corpus/$name" "tests/fuzz/corpus/$name"
done
[ $found -gt 0 ] || { echo "fuzz: no target found"; exit 1; }
echo "fuzz: $found targets, nothing found"
