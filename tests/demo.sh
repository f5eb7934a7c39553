#!/bin/bash
# `make demo`: three nodes on this machine, and what a user would type. Ends 0 if every step did what it says; leaves nothing behind.
set -u
cd "$(dirname "$0")/.." || exit 2
export PATH="$PWD/${BUILD:-build}:$PATH" LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/tmp}/tally-demo.XXXXXX")
export TALLY_DEMO="$work" # marks our daemons
timeout_ms=2000

# "PID DATA" of each daemon that we started.
daemons() {
	local dir
	for dir in /proc/[0-9]*; do
		[ "$(cat "$dir/comm" 2>/dev/null)" = tallyfs ] || continue
		tr '\0' '\n' 2>/dev/null <"$dir/environ" | grep -qxF "TALLY_DEMO=$work" || continue
		echo "${dir#/proc/} $(tr '\0' '\n' 2>/dev/null <"$dir/cmdline" | sed -n 2p)"
	done
}
mounts() { awk -v top="$work/" 'index($2, top) == 1 { print $2 }' /proc/mounts; }
clean_up() {
	local pid data m
	while read -r pid data; do kill -9 "$pid"; done < <(daemons)
	while read -r m; do umount -l "$m"; done < <(mounts)
	cd / && rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 141' PIPE

say() { printf '\n# %s\n' "$*"; }
die() {
	printf '\nTHE DEMO FAILED: %s\n' "$*" >&2
	exit 1
}
# Shows a command and runs it where the mounts are; leaves what it said in $out, its exit in $status, its milliseconds in $took.
try() {
	local begin
	printf '$ %s\n' "$1"
	begin=$(date +%s%N)
	out=$(bash -c "$1" 2>&1)
	status=$?
	took=$((($(date +%s%N) - begin) / 1000000))
	[ -z "$out" ] || printf '%s\n' "$out"
}
must() {
	try "$1"
	[ $status -eq 0 ] || die "\`$1\` ended with status $status"
}
must_say() {
	must "$1"
	[ "$out" = "$2" ] || die "\`$1\` should say: $2"
}
must_time_out() {
	try "$1"
	[ $status -ne 0 ] || die "\`$1\` should have failed"
	case $out in *"Connection timed out"*) ;; *) die "\`$1\` should say that it timed out" ;; esac
	[ $took -le $((timeout_ms + 1000)) ] || die "\`$1\` took $took ms, timeout= is $timeout_ms"
	echo "  (ETIMEDOUT after $took ms; timeout= is $timeout_ms)"
}

field() { sed -n "s/^$2: //p" "mnt$1/@status" 2>/dev/null; }
# Waits until a command is true, for ten seconds at most.
await() {
	local end=$((SECONDS + 10))
	until "$@"; do
		[ $SECONDS -lt $end ] || die "waited too long for: $*"
		sleep 0.02
	done
}
# One of the nodes in $alive leads and all of them follow it: it is left in $leader.
led() {
	local i
	leader=
	for i in $alive; do [ "$(field "$i" role)" != leader ] || leader=$i; done
	[ -n "$leader" ] || return 1
	for i in $alive; do [ "$(field "$i" leader)" = "n$leader" ] || return 1; done
}
pid_of() { daemons | sed -n "s/ data$1\$//p"; }
ended() { [ -z "$(pid_of "$1")" ]; }
even() { [ "$(field "$1" revision)" = "$(field "$2" revision)" ]; }

start() {
	local extra=
	[ "$1" != 3 ] || extra=,consistency=serial
	must "tallyfs data$1 mnt$1 -o name=n$1,cluster=\$CLUSTER,timeout=2s$extra"
}
stop() {
	must "fusermount3 -u mnt$1"
	await ended "$1"
}
pick_cluster() {
	local port=$((21000 + RANDOM % 8000)) i=1
	CLUSTER=
	while [ $i -le 3 ]; do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			CLUSTER="$CLUSTER/n$i=127.0.0.1:$port"
			i=$((i + 1))
		fi
		port=$((port + 1))
	done
	export CLUSTER="${CLUSTER#/}"
}

three_nodes() {
	say "Three nodes on this machine, each with its own data and its own mount. n3 reads serially: at once, from its own state."
	echo "\$ export CLUSTER=$CLUSTER"
	must "mkdir mnt1 mnt2 mnt3"
	start 1 && start 2 && start 3
	alive="1 2 3"
	await led
	must "head -n 9 mnt1/@status"
}

write_and_read() {
	say "Write on one mount, read on the others."
	must "mkdir mnt1/config"
	must "echo colour=green > mnt1/config/app"
	must_say "cat mnt2/config/app" "colour=green"
	first=$(field 1 revision)
	must "echo colour=blue > mnt2/config/app"
	must "echo size=10 >> mnt3/config/app"
	must_say "cat mnt1/config/app" $'colour=blue\nsize=10'
	must_say "ls mnt2/config" "app"
}

look_back() {
	say "Every revision stays: of a file, and of the whole tree."
	must_say "cat mnt1/config/app@$first" "colour=green"
	must "ls mnt1/config/app@"
	[ "$(wc -l <<<"$out")" = 3 ] || die "there should be three revisions"
	must_say "cat mnt1/config/app@-1" "colour=blue"
	must "mv mnt1/config mnt1/etc"
	must "rm mnt1/etc/app"
	must_say "ls mnt2/@$first/config" "app"
	must_say "cat mnt2/@$first/config/app" "colour=green"
	must "echo colour=red > mnt1/etc/app"
}

two_ways_to_read() {
	say "A linearizable mount sees all that was written anywhere before; a serial one answers by itself."
	must_say "grep consistency mnt2/@status" "consistency: linearizable"
	must_say "cat mnt2/etc/app" "colour=red"
	must_say "grep consistency mnt3/@status" "consistency: serial"
	await even 2 3
	must_say "cat mnt3/etc/app" "colour=red"
}

death_of_the_leader() {
	local old pid begin gap there
	await led
	old=$leader there=$((leader % 3 + 1))
	say "The leader, n$old, dies. The others go on."
	pid=$(pid_of "$old")
	begin=$(date +%s%N)
	must "kill -9 $pid"
	last_words="written after the death of n$old"
	must "echo $last_words > mnt$there/etc/after"
	gap=$((($(date +%s%N) - begin) / 1000000))
	echo "  (written $gap ms after the kill)"
	[ $gap -le 2000 ] || die "writing went on after $gap ms; 2000 are allowed"
	try "ls mnt$old"
	say "Its mount is dead; a new start clears it."
	start "$old"
	await led
	await even "$old" "$there"
	must_say "cat mnt$old/etc/after" "$last_words"
}

no_majority() {
	say "Two of three are stopped: n1, which is left, has no majority. A linearizable read and a write wait for timeout=, and fail."
	await even 1 3
	stop 2 && stop 3
	must_time_out "cat mnt1/etc/app"
	must_time_out "echo lost > mnt1/etc/app"
	must "grep -E '^(role|leader|health)' mnt1/@status"
	say "And n3 alone, which reads serially, still answers; it cannot write either."
	start 3
	alive="1 3"
	await led
	await even 1 3
	stop 1
	must_say "cat mnt3/etc/after" "$last_words"
	[ $took -le 500 ] || die "a serial read took $took ms"
	must_time_out "echo lost > mnt3/etc/app"
}

together_again() {
	local i sums=
	say "They are started again, and all three agree."
	start 1 && start 2
	alive="1 2 3"
	await led
	must "echo together again > mnt2/etc/app"
	await even 1 2
	await even 2 3
	for i in 1 2 3; do
		must "cd mnt$i && find . -type f | sort | xargs sha256sum | sha256sum"
		sums="$sums$out"$'\n'
	done
	[ "$(sort -u <<<"${sums%$'\n'}" | wc -l)" = 1 ] || die "the nodes do not agree"
	must "grep -h -E '^(name|role|revision)' mnt1/@status mnt2/@status mnt3/@status"
}

if [ "$(id -u)" != 0 ] || [ ! -w /dev/fuse ]; then die "it needs root and /dev/fuse"; fi
pick_cluster
cd "$work" || exit 2
three_nodes
write_and_read
look_back
two_ways_to_read
death_of_the_leader
no_majority
together_again
say "All of them end when they are unmounted."
stop 1 && stop 2 && stop 3
[ -z "$(mounts)" ] || die "something is left mounted"
echo
echo "the demo did what it says"
