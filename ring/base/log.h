/* log.h - one line a message, to a sink (stderr unless set otherwise).
 *
 * Threads: any. Format of the default sink: "NAME[PID]: level: text". Messages about a peer's behaviour go through
 * log_peer(), which lets at most 10 a second through for each call site and says how many it held back.
 */
#ifndef BULKHEAD_RING_BASE_LOG_H
#define BULKHEAD_RING_BASE_LOG_H

#include "ring/base/base.h"

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };

typedef void log_sink_fn(enum log_level lvl, const char *line);

/* Name of the program in each line (kept, not copied) and the most talkative level shown. */
void log_init(const char *name, enum log_level max);
void log_set_sink(log_sink_fn *sink); /* NULL: stderr */
/* Of an option's text: a level, or -EINVAL. The names in one string, for the line that says so. */
#define LOG_LEVEL_NAMES "error, warn, info or debug"
int log_level_parse(const char *text);

void log_msg(enum log_level lvl, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Of one call site; zero-initialised, static. */
struct log_limit {
	uint64_t second;
	uint32_t shown, held;
};
void log_limited(struct log_limit *l, enum log_level lvl, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(...) log_msg(LOG_LVL_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_LVL_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LVL_DEBUG, __VA_ARGS__)
#define log_peer(...)                                            \
	do {                                                     \
		static struct log_limit log_site_;               \
		log_limited(&log_site_, LOG_LVL_WARN, __VA_ARGS__); \
	} while (0)

#endif
