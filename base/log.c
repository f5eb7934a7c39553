#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

static struct {
	const char *node_name;
	enum log_level level;
	bool to_syslog;
} settings = {"tallyfs", LOG_LEVEL_WARN, false};

void log_setup(const char *node_name, enum log_level level, bool to_syslog)
{
	settings.node_name = node_name;
	settings.level = level;
	settings.to_syslog = to_syslog;
	if (to_syslog)
		openlog("tallyfs", LOG_PID, LOG_DAEMON);
}

void log_event(enum log_level level, const char *format, ...)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	static const char *const names[] = {"error", "warn", "info", "debug"};
	char text[512];
	va_list args;

	if (level > settings.level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (settings.to_syslog) {
		syslog(priorities[level], "%s: %s", settings.node_name, text);
		return;
	}
	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	fprintf(stderr, "%02d:%02d:%02d.%03ld %s %s: %s\n", tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000, settings.node_name,
		names[level], text);
}
