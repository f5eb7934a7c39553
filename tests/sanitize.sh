#!/bin/sh
# sanitize.sh address|thread BUILD: the unit tests of a sanitized build, and its cluster tests with a tenth of the rounds.
set -eu
kind=$1 build=$2
here=$(cd "$(dirname "$0")" && pwd)
# Copies that every user may read: some tests start programs as others.
lib=$(mktemp -d)
trap 'rm -rf "$lib"' EXIT
chmod 755 "$lib"
install -m 644 "$here"/lib/*.supp "$lib"
export ASAN_OPTIONS="suppressions=$lib/asan.supp:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"
export LSAN_OPTIONS="suppressions=$lib/lsan.supp:print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1"
export TSAN_OPTIONS="suppressions=$lib/tsan.supp:halt_on_error=0:second_deadlock_stack=1"
export TEST_SCALE=10 TEST_TIMEOUT=600

# Some kernels place memory where this runtime does not expect it: then addresses must not be random.
first=$(ls "$build"/tests/unit/test_* | grep -v '\.[od]$' | head -1)
RUN_PREFIX=
if [ "$kind" = thread ] && "$first" 2>&1 | grep -q 'unexpected memory mapping'; then RUN_PREFIX="setarch -R"; fi
export RUN_PREFIX

tests() { ls "$build"/tests/"$1"/test_* | grep -v '\.[od]$'; }
# shellcheck disable=SC2046
"$here/run.sh" $(tests unit) $(tests cluster)
