#include "fs/interrupt.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

static uint64_t bit(int sig)
{
	return UINT64_C(1) << (sig - 1);
}

enum interrupt interrupt_of(pid_t tid)
{
	char name[64], line[128];
	uint64_t thread = 0, shared = 0, blocked = 0, ignored = 0, caught = 0;

	if (tid <= 0)
		return INTERRUPT_FATAL;
	snprintf(name, sizeof(name), "/proc/%d/status", (int)tid);
	FILE *f = fopen(name, "re");
	if (!f)
		return INTERRUPT_FATAL;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %" SCNx64, &thread) == 1 || sscanf(line, "ShdPnd: %" SCNx64, &shared) == 1 ||
		    sscanf(line, "SigBlk: %" SCNx64, &blocked) == 1 || sscanf(line, "SigIgn: %" SCNx64, &ignored) == 1 ||
		    sscanf(line, "SigCgt: %" SCNx64, &caught) == 1)
			continue;
	fclose(f);
	uint64_t ignored_by_default = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH);
	uint64_t waiting = (thread | shared) & ~blocked & ~ignored & ~(ignored_by_default & ~caught);
	if (!waiting)
		return INTERRUPT_IGNORED;
	return waiting & ~caught ? INTERRUPT_FATAL : INTERRUPT_CAUGHT;
}
