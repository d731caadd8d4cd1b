/* fdmsg.h - whole messages with descriptors over a SOCK_SEQPACKET Unix socket.
 *
 * Descriptors that are received are close-on-exec and belong to the caller; more of them than asked for are closed.
 * Threads: none of its own; a socket belongs to one thread.
 * Trust: lengths are bounded by the buffer; a truncated message or truncated descriptors are -EMSGSIZE, with
 * everything that came closed.
 */
#ifndef BULKHEAD_RING_OS_FDMSG_H
#define BULKHEAD_RING_OS_FDMSG_H

#include <stddef.h>
#include <sys/types.h>

#define FDMSG_MAX_FDS 128

/* Sends one message. 0, -EAGAIN (only with a non-blocking socket), -EPIPE, -EMSGSIZE. Never raises SIGPIPE. */
int fdmsg_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds);
/* Receives one message. Its length; 0 at end of file; -EAGAIN. *nfds: in, room in fds; out, how many came. fds may be NULL. */
ssize_t fdmsg_recv(int sock, void *buf, size_t size, int *fds, size_t *nfds);
/* The same, never waiting, and the message stays: descriptors that come are new ones each time. */
ssize_t fdmsg_peek(int sock, void *buf, size_t size, int *fds, size_t *nfds);

/* SOCK_SEQPACKET sockets, close-on-exec. Listening replaces a stale socket file; mode is the file's. Paths longer than
 * sun_path go through /proc/self/fd. A listening socket is non-blocking and does not replace one that is in use
 * (-EADDRINUSE); a connected one blocks. A descriptor or a negative errno (-ECONNREFUSED, -ENOENT). */
int fdmsg_listen(const char *path, mode_t mode);
int fdmsg_connect(const char *path);
/* Non-blocking, also while it connects: -EAGAIN when the other end has a full backlog. */
int fdmsg_connect_nonblock(const char *path);
/* The same with SOCK_STREAM (the store's protocol). */
int fdmsg_listen_stream(const char *path, mode_t mode);
int fdmsg_connect_stream(const char *path);
/* Non-blocking from the start: -EAGAIN when the listener's queue is full. */
int fdmsg_dial_stream(const char *path);

#endif
