#!/bin/sh
# Installs the Debian packages that are missing to build and test, or (deps.sh lint, fuzz, stress) for those. Says nothing when all are there.
set -eu

missing=
need_command() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need_library() { pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"; }

if [ "${1:-}" = lint ]; then
	need_command clang-format clang-format
elif [ "${1:-}" = stress ]; then
	need_command fio fio
	need_command fuser psmisc
elif [ "${1:-}" = fuzz ]; then
	"$0"
	need_command clang clang
	runtime=$(clang --print-file-name=libclang_rt.fuzzer-$(uname -m).a 2>/dev/null || true)
	[ -e "$runtime" ] || missing="$missing libclang-rt-14-dev"
else
	compiler=${CC:-gcc}
	need_command "${compiler%% *}" "${compiler%% *}"
	need_command ar binutils
	[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
	need_command pkg-config pkg-config
	need_library fuse3 libfuse3-dev
	need_library lmdb liblmdb-dev
	need_library nanomsg libnanomsg-dev
	need_library libsodium libsodium-dev
	need_library cmocka libcmocka-dev
	need_command fusermount3 fuse3
	need_command ip iproute2
	need_command nft nftables
	need_command mkfs.ext4 e2fsprogs
	need_command mount mount
	need_command stress-ng stress-ng
	need_command dbench dbench
	need_command git git
	need_command inotifywait inotify-tools
	need_command python3 python3
	need_command vim vim
	need_command emacs emacs-nox
	need_command nano nano
	need_command rsync rsync
	need_command logrotate logrotate
	need_command sqlite3 sqlite3
	need_command make make
	need_command flock util-linux
fi
[ -n "$missing" ] || exit 0

echo "installing:$missing"
root=
[ "$(id -u)" = 0 ] || root=sudo
export DEBIAN_FRONTEND=noninteractive
install_missing() { $root apt-get install -y -qq --no-install-recommends $missing; }
if ! install_missing >/dev/null 2>&1; then
	$root apt-get update -qq
	install_missing
fi
