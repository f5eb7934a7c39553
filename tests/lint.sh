#!/bin/sh
# lint.sh: formatting, who includes whom, banned calls, function length, and words that mark unfinished work.
# Prints file:line: what, for each; fails if there is any.
set -u
cd "$(dirname "$0")/.." || exit 2
sources=$(find base raft store fs cmd tests -name '*.[ch]' | sort)
texts=$(find base raft store fs cmd tests docs .ci Makefile README.md -type f 2>/dev/null | sort)
bad=0

command -v clang-format >/dev/null || { echo "lint: clang-format is missing: make deps"; exit 2; }
# shellcheck disable=SC2086
clang-format --dry-run -Werror --ferror-limit=3 $sources || bad=1

# cmd -> fs -> store -> raft, and base for all. A header of a folder is private to it unless it is named here. Tests may include anything.
# shellcheck disable=SC2086
awk '
function layer(path) { return substr(path, 1, index(path, "/") - 1) }
function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
function say(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; found = 1 }
BEGIN {
	below["base"] = " base "
	below["raft"] = " raft base "
	below["store"] = " store raft base "
	below["fs"] = " fs store base "
	below["cmd"] = " cmd fs store base "
	split("assert.h errno.h inttypes.h limits.h stdbool.h stddef.h stdint.h stdlib.h string.h", pure, " ")
	for (i in pure) allowed[pure[i]] = 1
	public["store/mvcc"] = " store/mvcc/mvcc.h store/mvcc/dump.h "
	public["store/client"] = " store/client/client.h store/client/protocol.h store/client/endpoint.h "
	public["raft/core"] = " "
}
layer(FILENAME) == "tests" { next }
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\""); header = part[2]; from = layer(FILENAME); to = layer(header)
	if (header !~ /\//) say("include \"" header "\" by its path from the root")
	else if (index(below[from], " " to " ") == 0) say(from "/ must not include " header)
	else if (folder(FILENAME) != folder(header) && (folder(header) in public) && !index(public[folder(header)], " " header " ") &&
		 !(from == "raft" && folder(header) == "raft/core")) say(header " is private to " folder(header) "/")
	else if (folder(FILENAME) == "raft/core" && header != "raft/raft.h" && header != "base/codec.h" && folder(header) != "raft/core")
		say("raft/core is pure: it must not include " header)
}
/^[ \t]*#[ \t]*include[ \t]*</ {
	header = $0; sub(/^[^<]*</, "", header); sub(/>.*/, "", header); from = layer(FILENAME)
	if (folder(FILENAME) == "raft/core" && !(header in allowed)) say("raft/core is pure: it must not include <" header ">")
	if (header ~ /^fuse/ && from != "fs" && from != "cmd") say(from "/ must not see FUSE")
	if (header == "lmdb.h" && folder(FILENAME) != "store/mvcc") say("only store/mvcc sees LMDB")
}
END { exit found }' $sources || bad=1

# Calls in code, not in comments or strings; functions from "{" to "}" in column 0, with the line of the name.
# shellcheck disable=SC2086
awk '
function say(line, what) { printf "%s:%d: %s\n", FILENAME, line, what; found = 1 }
# The line without strings, character constants and comments; `inside` carries an open comment to the next line.
function code(line,    out, at) {
	out = ""
	while (line != "") {
		if (inside) {
			if (!(at = index(line, "*/"))) return out
			line = substr(line, at + 2); inside = 0
		} else if (match(line, /^"([^"\\]|\\.)*"/) || match(line, /^\047([^\047\\]|\\.)*\047/)) {
			out = out "0"; line = substr(line, RLENGTH + 1)
		} else if (substr(line, 1, 2) == "/*") {
			inside = 1; line = substr(line, 3)
		} else if (substr(line, 1, 2) == "//") {
			return out
		} else {
			at = match(line, /["\047\/]/) ? RSTART : length(line) + 1
			if (at == 1) at = 2
			out = out substr(line, 1, at - 1); line = substr(line, at)
		}
	}
	return out
}
FNR == 1 { inside = 0; begin = 0 }
{ text = code($0) }
match(text, /(^|[^A-Za-z0-9_])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|system|popen|alloca|sleep|usleep)[ \t]*\(/) {
	call = substr(text, RSTART, RLENGTH); gsub(/[^a-z]/, "", call); say(FNR, call "() is banned")
}
text ~ /^[ \t]*typedef[ \t]+(struct|union|enum)[^A-Za-z0-9_]/ { say(FNR, "no typedef of a struct, union or enum") }
/^\{/ { begin = FNR }
/^\}/ { if (begin && FNR - begin + 2 > 60) say(begin, "a function of " FNR - begin + 2 " lines; at most 60"); begin = 0 }
END { exit found }' $sources || bad=1

# shellcheck disable=SC2086
awk '
/(^|[^A-Za-z0-9_])(T[O]DO|F[I]XME|X[X]X|H[A]CK)([^A-Za-z0-9_]|$)/ { printf "%s:%d: unfinished work: %s\n", FILENAME, FNR, $0; found = 1 }
/[ \t]+$/ && FILENAME !~ /\.md$/ { printf "%s:%d: blanks at the end of the line\n", FILENAME, FNR; found = 1 }
END { exit found }' $texts || bad=1

[ $bad -eq 0 ] && echo "lint: $(echo "$sources" | wc -l) files are clean"
exit $bad
