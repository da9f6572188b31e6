#!/usr/bin/env bash
# Everything that reads the code without running it. Prints what is wrong; the last line counts the checks.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
passed=0

check() { # name, command...
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'lint: %s\n%s\n' "$name" "$out"
    fi
}

mapfile -t files < <(git ls-files 'src/*.c' 'src/*.h' 'include/*.h' 'tests/*.c' 'tests/*.h' 'bench/*.c' 'tools/*.c' 'examples/*.c' 'examples/*.cpp')
mapfile -t sources < <(git ls-files 'src/*.c')
[ ${#sources[@]} -gt 20 ] || { echo "lint: only ${#sources[@]} sources found, something is wrong"; exit 1; }

tidy() { tools/tidy.sh build-lint "${sources[@]}"; }

manuals() {
    local pages
    mapfile -t pages < <(git ls-files 'docs/man/*.[1-8]' | xargs grep -L '^\.so ')
    [ ${#pages[@]} -gt 10 ] || { echo "only ${#pages[@]} manual pages found"; return 1; }
    mandoc -T lint -W warning,stop "${pages[@]}"
}

too_long() {
    local long
    long=$(wc -l "${files[@]}" | awk '$2 != "total" && $2 ~ /^src/ && $1 > 800 { print $2 ": " $1 " lines" }')
    [ -z "$long" ] || { echo "$long"; return 1; }
}

check "every gate bites" bash tests/lint_selftest.sh
check "include directions" /usr/bin/python3 tools/check_includes.py .
check "layout (make format)" clang-format --dry-run -Werror "${files[@]}"
check "files over 800 lines" too_long
# Nothing of it is run but what checks the documents: to read the sources, generated headers suffice.
check "what the analysers read" env CC=clang BUILD_TARGETS="gen_docs src/agent/version.h src/elector/version.h" \
    tools/build.sh build-lint -Dbuildtype=debugoptimized
check "clang-tidy" tidy
check "cppcheck" cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --force --max-configs=1 -j "$(nproc)" \
    --suppress=missingIncludeSystem --suppress=unusedFunction --suppress=normalCheckLevelMaxBranches \
    --enable=warning,performance,portability -I src "${sources[@]}"
check "manual pages" manuals
check "generated documents" meson test -C build-lint --no-rebuild --suite lint --quiet

echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
