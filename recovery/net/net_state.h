/* net_state.h - the record of what was made for a vif: each thing is written down before it is made, so that whatever the
 * moment of a death, all that may be there can be undone.
 *
 * One file for each vif, DIR/DEV.vif, lines "KEY" or "KEY=VALUE" in the order they were made; recovery/net/net_undo.h undoes
 * them in the reverse order. A line without its end was never followed by its deed. DIR/shared.vifs holds the settings that
 * several vifs want, with the values they had before.
 * DIR is on a tmpfs (/run): it must not outlive the network that it describes.
 * Owns: an open state has DIR/lock locked: one at a time, whatever process. Threads: one.
 */
#ifndef BULKHEAD_RECOVERY_NET_NET_STATE_H
#define BULKHEAD_RECOVERY_NET_NET_STATE_H

#include "ring/base/base.h"

#include <stdbool.h>

#define NET_LINE_MAX 2048
#define NET_LINES_MAX 256u

struct net_state;

/* DIR is made when it is missing (0700). create: of a vif without a record too, else -ENOENT. Waits for the lock. 0 or negative
 * errno; -EBADMSG: the file is not such a record. */
int net_state_open(const char *dir, const char *dev, bool create, struct net_state **out);
/* NULL is allowed. */
void net_state_close(struct net_state *s);

/* The value of key ("" if it has none), or NULL. */
const char *net_state_get(const struct net_state *s, const char *key);
/* Adds a line unless key has one. value: "" for none. 0 or negative errno: then do not make what it stands for. */
int net_state_add(struct net_state *s, const char *key, const char *value);
/* Calls undo for each line, last first, and forgets those for which it returns 0. What remains is kept; with nothing left the
 * file goes. The first error, or 0. */
int net_state_undo(struct net_state *s, int (*undo)(void *arg, const char *key, const char *value), void *arg);

/* The shared lines, which net_state_open() reads too. forget and the others are as above. */
const char *net_shared_get(const struct net_state *s, const char *key);
int net_shared_add(struct net_state *s, const char *key, const char *value);
int net_shared_forget(struct net_state *s, const char *key);
/* Another vif than this one has a line with key. */
bool net_state_others(const struct net_state *s, const char *key);

/* Calls each with every vif in DIR that has a record. 0 or negative errno. */
int net_state_list(const char *dir, void (*each)(void *arg, const char *dev), void *arg);

#endif
