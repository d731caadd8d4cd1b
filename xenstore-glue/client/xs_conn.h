/* xs_conn.h - the client's transport: a descriptor that can be polled, and how bytes go through it.
 *
 * Private to the client. None of the calls blocks.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_CLIENT_XS_CONN_H
#define BULKHEAD_XENSTORE_GLUE_CLIENT_XS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct xs_conn_ops {
	const char *name;
	bool alone; /* a request is sent when the one before it was answered, and whole, by one send() */
	/* A new descriptor, close-on-exec, or a negative errno. */
	int (*open)(const char *path);
	/* Bytes, 0 at the end, -EAGAIN, or another negative errno. buf of a send begins with a message, and has whole ones, if the
	 * sends before took whole ones. */
	ssize_t (*recv)(int fd, void *buf, size_t size);
	ssize_t (*send)(int fd, const void *buf, size_t len);
};

extern const struct xs_conn_ops xs_conn_unix; /* a Unix stream socket */
extern const struct xs_conn_ops xs_conn_dev;  /* /dev/xen/xenbus, in a domain other than the store's */

#endif
