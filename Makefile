# tallyfs: `make demo` and `make check` are all that a fresh Debian 12 needs.
#
#   make            build/tallyfs and build/tallyctl          make check    packages, build, unit tests, cluster tests
#   make demo       three nodes, narrated                     make lint     format, layers, banned calls, function length
#   make asan tsan  the tests under sanitizers                make bench    the figures, and whether they are good enough
#   make sim        the simulator: SEED=n [TRACE=1] replays, RUNS=n [FROM=s] [JOBS=j] walks seeds
#   make stress     stress-ng, fio and dbench, a minute each: STRESS_SECONDS=n, STRESS_ONLY="name name"
#   make locks      the holder of a lock killed a hundred times: LOCK_ROUNDS=n
#   make faults     real faults on three hosts under load     make fuzz     the fuzz targets, a minute each: FUZZ_SECONDS=n
#   make install    PREFIX=/usr/local DESTDIR=                make deps     the Debian packages that are missing

ifeq ($(origin CC),default)
CC := gcc
endif
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
PKGS    := fuse3 lmdb nanomsg libsodium
OPT     ?= -O2
SAN     ?=

# Asked for late, and once: `make check` may install these packages on its way.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

CFLAGS  ?= -g $(OPT)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -I. -Wall -Wextra -Werror -Wshadow -Wpointer-arith \
	-Wstrict-prototypes -Wmissing-prototypes -Wvla -fno-strict-aliasing -pthread $(SAN) $(PKG_CFLAGS) $(CFLAGS)
LIBS     = $(PKG_LIBS) -pthread -lm

LIB_SRC   := $(wildcard base/*.c raft/*.c raft/core/*.c store/*.c store/mvcc/*.c store/client/*.c fs/*.c)
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/%.o)
CMD_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out cmd/tallyfs.c cmd/tallyctl.c,$(wildcard cmd/*.c)))
TESTLIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/lib/*.c))
UNIT      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
CLUSTER   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/cluster/test_*.c))
FAULTS_PROGRAM := $(BUILD)/tests/faults/faults
POWER     := $(BUILD)/tests/power/test_power
BENCH     := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))

SIM       := $(BUILD)/tests/sim/sim $(BUILD)/tests/sim/test_sim
SIM_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/sim/sim.c tests/sim/test_sim.c,$(wildcard tests/sim/*.c)) \
	$(wildcard tests/lib/lincheck*.c))
# What the simulator puts itself in place of, or looks at, on its way: the system's calls, then the production code's own.
SIM_WRAP  := malloc calloc realloc reallocarray free strdup strndup clock_gettime read write close poll eventfd getrandom \
	access rename open fsync unlink rmdir mkdir fstat stat fopen flock opendir readdir closedir \
	$(addprefix pthread_,create join detach setname_np sigmask mutex_init mutex_destroy mutex_lock mutex_trylock mutex_unlock \
	cond_init cond_destroy cond_wait cond_timedwait cond_signal cond_broadcast \
	rwlock_init rwlock_destroy rwlock_rdlock rwlock_wrlock rwlock_unlock) \
	wal_open wal_append wal_reset raft_new raft_restore raft_ready raft_stored raft_status trim_point \
	mvcc_begin mvcc_end mvcc_put_meta mvcc_put_block mvcc_stage_put

all: $(BUILD)/tallyfs $(BUILD)/tallyctl

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libtally.a: $(LIB_OBJ)
	@rm -f $@
	@echo "  AR   $@"
	@ar rcs $@ $^

$(BUILD)/libcmd.a: $(CMD_OBJ)
	@rm -f $@
	@echo "  AR   $@"
	@ar rcs $@ $^

$(BUILD)/tallyfs: $(BUILD)/cmd/tallyfs.o $(BUILD)/libcmd.a $(BUILD)/libtally.a
	@echo "  LD   $@"
	@$(CC) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/tallyctl: $(BUILD)/cmd/tallyctl.o $(BUILD)/libcmd.a $(BUILD)/libtally.a
	@echo "  LD   $@"
	@$(CC) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TESTLIB_OBJ) $(BUILD)/libcmd.a $(BUILD)/libtally.a
	@echo "  LD   $@"
	@$(CC) $(SAN) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -lcmocka

# The production code over the simulated disk, LMDB and network, which come first and so take the place of the real ones.
$(SIM): $(BUILD)/tests/sim/%: $(BUILD)/tests/sim/%.o $(SIM_OBJ) $(BUILD)/libtally.a
	@echo "  LD   $@"
	@$(CC) $(SAN) $(SIM_WRAP:%=-Wl,--wrap=%) -o $@ $^ -pthread -lcmocka

tests: all $(UNIT) $(CLUSTER) $(SIM) $(POWER)

sim: $(BUILD)/tests/sim/sim
	@$(BUILD)/tests/sim/sim

# Loaded into the daemon, so nothing of the project's may be in it.
$(BUILD)/tests/power/record.so: tests/power/record.c tests/power/record.h
	@mkdir -p $(@D)
	@echo "  LD   $@"
	@$(CC) $(ALL_CFLAGS) -fPIC -shared -o $@ $<

$(POWER): $(patsubst %,$(BUILD)/tests/power/%.o,journal disk gate load verify trial) $(BUILD)/tests/power/record.so

deps:
	@CC="$(CC)" tests/deps.sh

unit: $(UNIT)
	@tests/run.sh $(UNIT)

cluster: all $(CLUSTER)
	@tests/run.sh $(CLUSTER)

check: deps
	@$(MAKE) --no-print-directory -j$$(nproc) tests
	@tests/run.sh $(UNIT) $(BUILD)/tests/sim/test_sim $(CLUSTER) $(POWER)

# The long run: the power is cut some thousand times.
power: all $(POWER)
	@POWER_CUTS=$${POWER_CUTS:-3000} POWER_IMAGES=$${POWER_IMAGES:-3} POWER_OPS=$${POWER_OPS:-150} TEST_TIMEOUT=$${TEST_TIMEOUT:-3600} \
		tests/run.sh $(POWER)

# Planted bugs, one by one: each has to be noticed. MUTANTS="a b" plants these.
mutants: tests
	@BUILD="$(BUILD)" tests/mutants/run.sh $(MUTANTS)

demo: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@BUILD="$(BUILD)" tests/demo.sh

# The unit tests, and the cluster tests with a tenth of the rounds. No warnings (-w): instrumented code raises false ones.
asan:
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build-asan OPT=-O1 \
		SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -w" tests
	@tests/sanitize.sh address build-asan

tsan:
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build-tsan OPT=-O1 SAN="-fsanitize=thread -w" tests
	@tests/sanitize.sh thread build-tsan

lint:
	@tests/deps.sh lint
	@tests/lint.sh

# Each target of tests/fuzz for FUZZ_SECONDS (60), in a build of its own by clang. FUZZ_SAN is what the targets are linked with besides.
FUZZ_SAN := -fsanitize=address,undefined
FUZZ     := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz:
	@tests/deps.sh fuzz
	@$(MAKE) --no-print-directory -j$$(nproc) CC=clang BUILD=build-fuzz OPT=-O1 \
		SAN="$(FUZZ_SAN) -fno-sanitize-recover=undefined -fsanitize=fuzzer-no-link -fno-omit-frame-pointer -w" fuzz-targets
	@tests/fuzz/run.sh build-fuzz

fuzz-targets: $(FUZZ) $(BUILD)/tests/fuzz/seeds

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/libcmd.a $(BUILD)/libtally.a
	@echo "  LD   $@"
	@$(CC) $(FUZZ_SAN) -fsanitize=fuzzer -Wl,--wrap=crc32c -o $@ $^ $(LIBS)

$(BUILD)/tests/fuzz/seeds: $(BUILD)/tests/fuzz/seeds.o $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/libcmd.a $(BUILD)/libtally.a
	@echo "  LD   $@"
	@$(CC) $(SAN) -Wl,--wrap=crc32c -o $@ $^ $(LIBS)

# Thirty random faults on three hosts under 2,000 writes a second: FAULTS=n SEED=n.
faults: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(FAULTS_PROGRAM)
	@$(FAULTS_PROGRAM)

# The holder of a lock is killed a hundred times, and cut off eleven times: LOCK_ROUNDS=n.
locks: all $(BUILD)/tests/cluster/test_locks $(BUILD)/tests/cluster/test_lock_partition
	@LOCK_ROUNDS=$${LOCK_ROUNDS:-100} TEST_TIMEOUT=$${TEST_TIMEOUT:-3600} tests/run.sh $(BUILD)/tests/cluster/test_locks \
		$(BUILD)/tests/cluster/test_lock_partition

# stress-ng's file-system stressors, fio across mounts, dbench.
stress: deps
	@tests/deps.sh stress
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@BUILD="$(BUILD)" tests/stress/run.sh

bench: all $(BENCH)
	@BUILD="$(BUILD)" tests/bench/run.sh

# Two minutes, or SOAK_MINUTES=30: memory and disk under overwrites.
bench-soak: all $(BENCH)
	@BUILD="$(BUILD)" tests/bench/run.sh soak

format:
	@find base raft store fs cmd tests -name '*.[ch]' -exec clang-format -i {} +

install: all
	install -D -m 755 $(BUILD)/tallyfs $(DESTDIR)$(PREFIX)/bin/tallyfs
	install -D -m 755 $(BUILD)/tallyctl $(DESTDIR)$(PREFIX)/bin/tallyctl

clean:
	rm -rf build build-*

.PHONY: all tests deps unit cluster sim check power mutants demo asan tsan lint bench bench-soak stress faults locks fuzz fuzz-targets format install clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
