#!/bin/sh
# Run by `make bench`: the measurements, or only the parts that are named (serial linearizable failover inotify cache keys snapshot compaction soak).
exec "${BUILD:-build}/tests/bench/bench" "$@"
