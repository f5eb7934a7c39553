/* log.h: the daemon's log: one line an event, to stderr (or the system log once the daemon is in the background).
 * Only threads and wiring log; the raft core, codecs and stores return errors. */
#ifndef TALLY_BASE_LOG_H
#define TALLY_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What every line begins with (the node's name), and the least important level that is still printed.
 * `to_syslog` sends lines to syslog(3) instead of stderr. Call before threads start. */
void log_setup(const char *node_name, enum log_level level, bool to_syslog);
/* One event; no newline at the end. Any thread. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
