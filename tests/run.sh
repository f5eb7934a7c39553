#!/bin/sh
# run.sh PROGRAM...: runs cmocka programs one after another, prints a line for each and the sum at the end, and fails if a test failed, a
# program crashed or ran past TEST_TIMEOUT seconds, a program ran no test, or one left something mounted.
# RUN_PREFIX goes before each command (setarch -R, for example).
set -u
limit=${TEST_TIMEOUT:-300}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tally-run.XXXXXX")
export TMPDIR="$scratch/tmp"
chmod 711 "$scratch" # tests act as other users too
mkdir -m 711 "$TMPDIR"

# Detaches what is mounted below the scratch folder; true if there was something.
unmount_left() {
	left=$(awk -v top="$TMPDIR/" 'index($2, top) == 1 { print $2 }' /proc/mounts)
	[ -n "$left" ] || return 1
	for m in $left; do umount -l "$m"; done
}
clean_up() {
	unmount_left
	rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 141' PIPE

passed=0 failed=0 skipped=0 begin_all=$(date +%s)
for program in "$@"; do
	out="$scratch/out"
	begin=$(date +%s.%N)
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$limit" ${RUN_PREFIX:-} "$program" >"$out" 2>&1
	status=$?
	took=$(echo "$begin $(date +%s.%N)" | awk '{ printf "%.1f", $2 - $1 }')
	set -- $(awk '
		/^(not )?ok [0-9]+ # SKIP/ { skip++; next }
		/^ok [0-9]+/ { ok++; next }
		/^not ok [0-9]+/ { bad++; next }
		/^1\.\.[0-9]+/ { planned += substr($0, 4) }
		END { print ok + 0, bad + 0, skip + 0, planned + 0 }' "$out")
	ok=$1 bad=$2 skip=$3 planned=$4 why=
	if [ $status -eq 124 ] || [ $status -eq 137 ]; then why="ran past $limit s"
	elif [ $((ok + bad + skip)) -eq 0 ]; then why="ran no test (exit status $status)"
	elif [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then why="ended with status $status"
	elif [ $((ok + bad + skip)) -lt "$planned" ]; then why="ran $((ok + bad + skip)) of $planned tests"
	elif unmount_left; then why="left mounted: $left"
	fi
	[ -z "$why" ] || bad=$((bad + 1))
	word=PASS
	[ "$skip" -eq 0 ] || word=SKIP
	[ "$bad" -eq 0 ] || word=FAIL
	name=${program#*/tests/}
	printf '%s %-28s %3d passed %d failed %d skipped %7s s%s\n' "$word" "$name" "$ok" "$bad" "$skip" "$took" "${why:+  ($why)}"
	if [ "$bad" -ne 0 ]; then sed 's/^/    /' "$out"; else sed -n 's/^# note: /    /p; s/^# skip: /    skipped: /p' "$out"; fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done
[ $((passed + failed + skipped)) -gt 0 ] || { echo "there was no test to run"; failed=1; }
echo "took $(($(date +%s) - begin_all)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
