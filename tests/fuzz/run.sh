#!/bin/sh
# run.sh BUILD: runs each fuzz target of that build for FUZZ_SECONDS (60), two at a time, from the seeds that BUILD/tests/fuzz/seeds writes, and prints what each did.
# Fails if one crashed, hung or leaked; what did it is kept in BUILD/crashes, and the end of its output is shown.
set -u
build=$1
seconds=${FUZZ_SECONDS:-60}
targets=$(ls "$build"/tests/fuzz/fuzz_* | grep -v '\.[od]$' | sed 's/.*fuzz_//')
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tally-fuzz.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$build/crashes"
"$build/tests/fuzz/seeds" "$scratch" || { echo "fuzz: the seeds could not be written"; exit 1; }

# Units that were found stay: the next run begins with them, too.
one() {
	mkdir -p "$build/corpus/$1"
	"$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$build/crashes/$1-" "$build/corpus/$1" "$scratch/$1" >"$scratch/$1.out" 2>&1
	echo $? >"$scratch/$1.status"
}

# As many lists as processors, at most two: one after the other in each.
lanes=$(nproc); [ "$lanes" -le 2 ] || lanes=2
lane=0
while [ $lane -lt $lanes ]; do
	( n=0; for t in $targets; do [ $((n % lanes)) -ne $lane ] || one "$t"; n=$((n + 1)); done ) &
	lane=$((lane + 1))
done
wait

passed=0 failed=0
for t in $targets; do
	execs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$t.out" | tail -1)
	rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$scratch/$t.out" | tail -1)
	cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$scratch/$t.out" | tail -1)
	if [ "$(cat "$scratch/$t.status" 2>/dev/null)" = 0 ] && [ "${execs:-0}" -gt 0 ]; then
		word=PASS passed=$((passed + 1))
	else
		word=FAIL failed=$((failed + 1))
	fi
	printf '%s fuzz/%-10s %9s runs in %s s (%s a second), %s edges covered\n' "$word" "$t" "${execs:-0}" "$seconds" "${rate:-0}" "${cover:-0}"
	[ $word = PASS ] || tail -n 40 "$scratch/$t.out" | sed 's/^/    /'
done
[ $((passed + failed)) -gt 0 ] || { echo "there was no fuzz target"; failed=1; }
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
