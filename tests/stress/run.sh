#!/bin/sh
# run.sh: stress-ng's file-system stressors with --verify, fio written on one mount and verified on another, and dbench, each for STRESS_SECONDS (60)
# on a cluster of three, on linearizable and on serial mounts (STRESS_MODES). STRESS_TOGETHER (6) stressors run at a time, each on one of the
# mounts (in much less than a minute xattr and filename may do nothing). STRESS_ONLY="name name" takes these alone (fio and dbench are names, too). Prints a line for each, and fails if one was not clean: it failed,
# skipped itself, left something behind, did nothing, or a node is not well afterwards, or the nodes do not hold the same.
set -u
build=$(cd "${BUILD:-build}" && pwd)
seconds=${STRESS_SECONDS:-60} together=${STRESS_TOGETHER:-6} modes=${STRESS_MODES:-"linearizable serial"} only=${STRESS_ONLY:-}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tally-stress.XXXXXX")
bad=0 pids=

# What stress-ng lists as class filesystem, and some that work on files all the same, with the options that keep files below max_file=.
# Left out, since they have no meaning here: bind-mount, binderfs, eventfd, procfs, ioprio (nothing on this file system); link (hard links are refused);
# fiemap, inode-flags, verity (ioctls that FUSE does not pass on, so that stress-ng does nothing).
stressors='
access
aio
chattr
chdir
chmod
chown
copy-file --copy-file-bytes 128M
dentry
dir
dirdeep
dirmany
dnotify
dup
fallocate --fallocate-bytes 32M
fanotify
fcntl
file-ioctl
filename
flock
fpunch
fsize
fstat
full
getdent
handle
hdd --hdd-bytes 32M
inotify
io
iomix --iomix-bytes 32M
lease
locka
lockf
lockofd
mknod
open
readahead --readahead-bytes 32M
rename
revio --revio-bytes 32M
seek --seek-size 32M
sendfile
splice
symlink
sync-file --sync-file-bytes 32M
touch
utime
xattr
'

clean_up() {
	for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
	for i in 1 2 3; do umount -l "$dir/m$i" 2>/dev/null; done
	rm -rf --one-file-system "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wanted() { [ -z "$only" ] || case " $only " in *" $1 "*) ;; *) return 1 ;; esac }
pause() { tail -f /dev/null --pid=$$ & timeout "$1" tail -f /dev/null; kill $! 2>/dev/null; }

# report RESULT NAME MOUNT SECONDS WORDS
report() {
	printf '%s %-12s %-12s %-3s %6.1f s  %s\n' "$1" "$mode" "$2" "$3" "$4" "$5"
	[ "$1" = PASS ] || bad=$((bad + 1))
}
since() { echo "$1 $(date +%s.%N)" | awk '{ print $2 - $1 }'; }

start() {
	base=$((20000 + $$ % 10000)) pids=
	members=n1=127.0.0.1:$base/n2=127.0.0.1:$((base + 1))/n3=127.0.0.1:$((base + 2))
	for i in 1 2 3; do
		mkdir -p "$dir/d$i" "$dir/m$i"
		"$build/tallyfs" "$dir/d$i" "$dir/m$i" -f -o "name=n$i,cluster=$members,consistency=$mode,max_file=256M" 2>>"$dir/log$i" &
		pids="$pids $!"
	done
	for i in 1 2 3; do
		tries=0
		until grep -q '^leader: n' "$dir/m$i/@status" 2>/dev/null; do
			tries=$((tries + 1))
			[ $tries -lt 300 ] || { echo "n$i did not come up"; cat "$dir/log$i"; exit 1; }
			pause 0.1
		done
	done
}

# All nodes well, and holding the same; then they end cleanly.
stop() {
	begin=$(date +%s.%N)
	for i in 1 2 3; do
		grep -q '^health: ok$' "$dir/m$i/@status" || report FAIL health "m$i" 0 "$(grep '^health' "$dir/m$i/@status" 2>&1)"
	done
	"$build/tallyctl" --endpoints "$dir/d1,$dir/d2,$dir/d3" endpoint hash >"$dir/hash" 2>&1 || report FAIL hash - 0 "$(tail -n 1 "$dir/hash")"
	for i in 1 2 3; do end_mount $i; done
	for pid in $pids; do wait "$pid" || report FAIL end - 0 "a daemon ended with status $?"; done
	pids=
	grep -hE ' (error|warn): ' "$dir"/log? | grep -v 'system clock' | sort | uniq -c | sort -rn | head -5
	report PASS nodes all "$(since "$begin")" "$(awk '{ printf "%s ", $2 }' "$dir/hash")"
	rm -rf "$dir"/d? "$dir"/log?
	rm -rf "$dir"/d? "$dir"/log?
}

# The others wait for it: it ends in any case.
end_mount() {
	umount "$dir/m$1" && return
	report FAIL umount "m$1" 0 "$(fuser -vm "$dir/m$1" 2>&1 | tail -n 1)"
	umount -l "$dir/m$1"
}

# stressor NAME I OPTION...: in the background; leaves its line in $dir/line.I
stressor() {
	name=$1 i=$2 on=$((1 + $2 % 3)) out="$dir/out.$2" work="$dir/m$((1 + $2 % 3))/$1"
	shift 2
	begin=$(date +%s.%N)
	mkdir "$work" && chmod 777 "$work"
	timeout -k 10 $((seconds + 300)) stress-ng --temp-path "$work" --verify "--$name" 1 -t "$seconds" "$@" --metrics-brief >"$out" 2>&1
	status=$?
	took=$(since "$begin")
	ops=$(awk -v name="$name" '$4 == name && $5 ~ /^[0-9]+$/ { print $5; exit }' "$out")
	words=$(grep -E ' (fail|error):|skip' "$out" | head -n 2 | cut -c1-200 | tr '\n' ' ')
	left=$(ls -A "$work")
	result=PASS
	[ $status -eq 0 ] || { result=FAIL words="status $status: $words"; }
	[ -z "$words" ] || result=FAIL
	[ -z "$left" ] || { result=FAIL words="left behind: $left"; }
	[ "${ops:-0}" -gt 0 ] || { result=FAIL words="did nothing: $words$(tail -n 2 "$out" | tr '\n' ' ')"; }
	rm -rf "$work"
	report $result "$name" "m$on" "$took" "${ops:-0} ops $words" >"$dir/line.$i"
}

stress_ng() {
	running= n=0 begun=
	echo "$stressors" | grep . >"$dir/list"
	while read -r name options; do
		wanted "$name" || continue
		n=$((n + 1))
		# shellcheck disable=SC2086
		stressor "$name" $n $options &
		running="$running $!" begun="$begun $n"
		[ $((n % together)) -ne 0 ] || harvest
	done <"$dir/list"
	harvest
}
harvest() {
	# shellcheck disable=SC2086
	[ -z "$running" ] || wait $running
	for i in $begun; do
		cat "$dir/line.$i"
		grep -q '^PASS' "$dir/line.$i" || bad=$((bad + 1))
	done
	running= begun=
}

# Jobs of several block sizes and shapes, each a file; what one mount wrote another one verifies, to the last block. Rounds until the time is over.
fio_jobs() {
	cat <<-END
		[global]
		directory=$1
		verify=crc32c
		verify_fatal=1
		verify_state_save=0
		randrepeat=1
		allrandrepeat=1
		randseed=$2
		fallocate=none
		ioengine=psync
		group_reporting=1
		[sequential]
		rw=write
		bs=64k
		size=16m
		[large]
		rw=write
		bs=1m
		size=24m
		[small]
		rw=randwrite
		bs=4k
		size=4m
		[odd]
		rw=randwrite
		bs=1536
		size=1536k
		[synced]
		rw=randwrite
		bs=4k
		size=1m
		fsync=8
		[deep]
		rw=randwrite
		bs=16k
		size=4m
		ioengine=libaio
		iodepth=8
		[direct]
		rw=write
		bs=128k
		size=8m
		direct=1
	END
}
fio_across() {
	begin=$(date +%s.%N) until=$(($(date +%s) + seconds)) rounds=0 result=PASS words=
	mkdir "$dir/m1/fio"
	while [ $rounds -eq 0 ] || [ "$(date +%s)" -lt $until ]; do
		writer=$((1 + rounds % 3)) reader=$((1 + (rounds + 1) % 3)) rounds=$((rounds + 1))
		fio_jobs "$dir/m$writer/fio" $rounds >"$dir/write.fio"
		fio_jobs "$dir/m$reader/fio" $rounds >"$dir/verify.fio"
		fio --do_verify=0 "$dir/write.fio" >"$dir/fio.out" 2>&1 || { result=FAIL words="writing on m$writer: $(grep -m1 -E 'error|err=' "$dir/fio.out")"; break; }
		# A serial mount may be a moment behind; what it shows is whole, but may be the last round's.
		revision=$(awk '/^revision:/ { print $2 }' "$dir/m$writer/@status") tries=0
		until [ "$(awk '/^revision:/ { print $2 }' "$dir/m$reader/@status")" -ge "$revision" ] || [ $tries -ge 100 ]; do
			tries=$((tries + 1))
			pause 0.05
		done
		fio --verify_only "$dir/verify.fio" >"$dir/fio.out" 2>&1 || { result=FAIL words="verifying on m$reader: $(grep -m1 -E 'verify:|error|err=' "$dir/fio.out")"; break; }
	done
	rm -rf "$dir/m1/fio"
	report $result fio m1-3 "$(since "$begin")" "$rounds rounds $words"
}

dbench_on() {
	begin=$(date +%s.%N) result=PASS
	mkdir "$dir/m2/dbench"
	timeout -k 10 $((seconds + 120)) dbench -D "$dir/m2/dbench" -t "$seconds" 4 >"$dir/dbench.out" 2>&1 || result=FAIL
	! grep -qiE 'fail|error|differ' "$dir/dbench.out" || result=FAIL
	words=$(grep '^Throughput' "$dir/dbench.out")
	[ -n "$words" ] || result=FAIL
	[ $result = PASS ] || words=$(grep -iE 'fail|error|differ' "$dir/dbench.out" | head -n 2 | tr '\n' ' ')
	rm -rf "$dir/m2/dbench"
	report $result dbench m2 "$(since "$begin")" "$words"
}

began=$(date +%s)
for mode in $modes; do
	start
	stress_ng
	! wanted fio || fio_across
	! wanted dbench || dbench_on
	stop
done
echo "took $(($(date +%s) - began)) s, $bad not clean"
[ $bad -eq 0 ]
