#!/bin/sh
# run.sh [NAME...]: plants one bug at a time and runs the tests that have to notice. Prints for each
#
#	killed NAME by TEST (what noticed)
#	SURVIVED NAME
#	BROKEN NAME (why)       it does not apply, or does not build
#
# and "N passed, N failed" at the end; it fails unless every mutant is killed. A mutant is a file NAME.mutant:
#
#	what the bug is, in lines of prose
#	file PATH                the source that it is planted in
#	kill TEST...             the programs that are run until one fails: unit/test_x, cluster/test_x, power, sim or sim:SEEDS
#	--- is                   lines that the source has exactly once ...
#	--- becomes              ... and those that take their place
#	--- end
#
# KILL="sim:200" runs these programs instead of those that the mutants name, and so tells how sharp they are.
#
# Everything happens in copies of the tree, one for each of JOBS (the number of processors) at a time. A program that runs for longer than it may has
# noticed, too. First all those tests are run without a bug: what they do not pass then they cannot notice.
set -u
cd "$(dirname "$0")/../.." || exit 2
top=$PWD build=${BUILD:-build} jobs=${JOBS:-$(nproc)} seeds=${MUTANT_SEEDS:-60}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tally-mutants.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

names=$*
[ -n "$names" ] || names=$(cd tests/mutants && ls ./*.mutant | sed 's|^\./||; s|\.mutant$||')
killers() { echo "${KILL:-$(sed -n '1,/^---/s/^kill //p' "$top/tests/mutants/$1.mutant")}"; }

# A program of the tree, as make names it.
program() {
	case $1 in
	sim*) echo "$build/tests/sim/sim" ;;
	power) echo "$build/tests/power/test_power" ;;
	*) echo "$build/tests/$1" ;;
	esac
}
targets() {
	for test in $*; do
		program "$test"
		case $test in cluster/* | power) echo all ;; esac
	done
}

# Runs a test; true if it failed. What noticed is left in noticed.N.
fails() {
	out="$scratch/out.$1" limit=90 runs=$seeds
	case $2 in
	sim:*) runs=${2#sim:} ;;
	power) limit=240 ;;
	cluster/*) limit=200 ;;
	esac
	case $2 in
	sim*) RUNS=$runs JOBS=1 timeout -k 5 $((limit + runs)) "$(program "$2")" >"$out" 2>&1 ;;
	*) POWER_CUTS=90 CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "$limit" "$(program "$2")" >"$out" 2>&1 ;;
	esac
	status=$?
	case $status in
	0) return 1 ;;
	124 | 137) echo "ran on and on" >"$scratch/noticed.$1" ;;
	*) awk -v status="$status" '
		/^not ok [0-9]+ - / { sub(/^not ok [0-9]+ - /, ""); print; found = 1; exit }
		/^VIOLATION with / { sub(/^VIOLATION with /, ""); print substr($0, 1, 160); found = 1; exit }
		END { if (!found) print "status " status }' "$out" >"$scratch/noticed.$1" ;;
	esac
}

# One mutant, in the tree that is the working directory.
try() {
	name=$2 file=$(sed -n '1,/^---/s/^file //p' "$top/tests/mutants/$2.mutant")
	cp -p "$file" "$scratch/original.$1" || { echo "BROKEN $name (no such file: $file)"; return; }
	if ! awk -f tests/mutants/plant.awk "tests/mutants/$name.mutant" "$file" >"$scratch/mutated.$1"; then
		echo "BROKEN $name (what it replaces is not there exactly once)"
		return
	fi
	cat "$scratch/mutated.$1" >"$file"
	# shellcheck disable=SC2046
	if make -j1 SAN=-w $(targets $(killers "$name")) >"$scratch/make.$1" 2>&1; then
		verdict="SURVIVED $name"
		for test in $(killers "$name"); do
			fails "$1" "$test" || continue
			verdict="killed $name by $test ($(cat "$scratch/noticed.$1"))"
			break
		done
	else
		verdict="BROKEN $name (does not build: $(grep -m1 error "$scratch/make.$1"))"
	fi
	echo "$verdict"
	cat "$scratch/original.$1" >"$file"
}

work() {
	cd "$scratch/tree.$1" || exit 2
	turn=0
	for name in $names; do
		[ $((turn % jobs)) -ne "$1" ] || try "$1" "$name" | tee -a "$scratch/verdicts"
		turn=$((turn + 1))
	done
}

begin=$(date +%s)
tests=$(for name in $names; do killers "$name"; done | tr ' ' '\n' | sort -u)
# shellcheck disable=SC2046,SC2086
make -j"$jobs" $(targets $tests | sort -u) >"$scratch/make" 2>&1 || { cat "$scratch/make"; exit 2; }
for test in $tests; do
	! fails 0 "$test" || { echo "$test fails without a mutant: $(cat "$scratch/noticed.0")"; sed 's/^/    /' "$scratch/out.0"; exit 1; }
done
i=0
while [ $i -lt "$jobs" ]; do
	mkdir "$scratch/tree.$i"
	cp -a base raft store fs cmd tests Makefile "$scratch/tree.$i/"
	mkdir "$scratch/tree.$i/$build"
	(cd "$build" && find . -name '*.[oad]' -exec cp -a --parents -t "$scratch/tree.$i/$build" {} +)
	i=$((i + 1))
done
: >"$scratch/verdicts"
i=0
while [ $i -lt "$jobs" ]; do
	work $i &
	i=$((i + 1))
done
wait
killed=$(grep -c '^killed' "$scratch/verdicts")
all=$(echo "$names" | wc -w)
grep -v '^killed' "$scratch/verdicts"
echo "took $(($(date +%s) - begin)) s"
echo "$killed passed, $((all - killed)) failed"
[ "$killed" -eq "$all" ]
