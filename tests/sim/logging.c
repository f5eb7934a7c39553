/* base/log.h: what a daemon would log is printed with the other events when events are printed. */
#include "base/log.h"
#include "tests/sim/machine.h"

#include <stdarg.h>
#include <stdio.h>

void log_setup(const char *node_name, enum log_level level, bool to_syslog)
{
	(void)node_name, (void)level, (void)to_syslog;
}

void log_event(enum log_level level, const char *format, ...)
{
	const struct machine *m = machine_now();
	happened(HAPPENED_log, m ? m->number : 0, level, 0);
	if (!world_prints())
		return;
	va_list args;
	va_start(args, format);
	printf("             | ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}
