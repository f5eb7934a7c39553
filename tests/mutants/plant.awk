# plant.awk MUTANT SOURCE: prints the source with the mutant's lines in place of those that it has exactly once. Exit status 1 if it has not.
FNR == 1 { files++ }
files == 1 && /^--- (is|becomes|end)$/ { part = $2; next }
files == 1 && part == "is" { is = is $0 "\n" }
files == 1 && part == "becomes" { becomes = becomes $0 "\n" }
files == 2 { source = source $0 "\n" }
END {
	at = index(source, is)
	rest = at ? substr(source, at + length(is)) : ""
	if (is == "" || !at || index(rest, is)) exit 1
	printf "%s%s%s", substr(source, 1, at - 1), becomes, rest
}
