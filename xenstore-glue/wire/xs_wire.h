/* xs_wire.h - framing of the xenstore protocol, for both ends. Layouts and numbers are those of <xen/io/xs_wire.h>.
 *
 * A stream of messages, each a struct xsd_sockmsg and hdr.len bytes. Client and daemon read with struct xs_reader, build
 * payloads with struct xs_body, and turn a header and a body into bytes with xs_frame().
 * Owns: nothing outside the structs that the caller gives. Pure: no system calls, no allocation.
 * Threads: none of its own.
 * Trust: every byte that is fed comes from the peer. A length above XENSTORE_PAYLOAD_MAX is -EPEER: the stream can't be
 * followed any further and has to be closed.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_WIRE_XS_WIRE_H
#define BULKHEAD_XENSTORE_GLUE_WIRE_XS_WIRE_H

#include "ring/base/base.h"

#include <errno.h> /* before xs_wire.h: its table of errors hangs on EINVAL */
#include <stdbool.h>
#include <xen/io/xs_wire.h>

#define XS_FRAME_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

/* ---- reading ---- */

struct xs_reader {
	uint32_t got; /* bytes of the present message that are here, header included */
	struct xsd_sockmsg hdr;
	char data[XENSTORE_PAYLOAD_MAX + 1]; /* one NUL always follows the payload */
};

void xs_reader_init(struct xs_reader *r);
/* Takes bytes of the stream, at most up to the end of one message; *used says how many.
 * 1: a whole message is in r->hdr and r->data; it stays until the next call, which begins the next message.
 * 0: all bytes were used and more are needed. -EPEER: bad length; the reader must not be used again. */
int xs_reader_feed(struct xs_reader *r, const void *buf, size_t len, size_t *used);
/* A message has begun and is not whole: an end of file now is a torn one. */
bool xs_reader_midway(const struct xs_reader *r);

/* ---- writing ---- */

/* A payload being built. What does not fit sets over, and the body is then not to be sent. */
struct xs_body {
	uint32_t len;
	bool over;
	char data[XENSTORE_PAYLOAD_MAX];
};

void xs_body_init(struct xs_body *b);
void xs_body_bytes(struct xs_body *b, const void *p, size_t len); /* as they are, e.g. a value to write */
void xs_body_string(struct xs_body *b, const char *s);		  /* with its NUL */
void xs_body_u32(struct xs_body *b, uint32_t v);		  /* decimal string with its NUL */

/* Writes header and payload to out, which has room for sizeof(struct xsd_sockmsg) + len bytes. Returns that size.
 * len <= XENSTORE_PAYLOAD_MAX (CHECKed). data may be NULL when len is 0. */
size_t xs_frame(void *out, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *data, uint32_t len);

/* ---- looking into payloads ---- */

/* Splits data into its NUL-terminated strings: the first max of them to vec. Returns how many there are; bytes behind the
 * last NUL are not counted. */
size_t xs_strings(const char *data, uint32_t len, const char **vec, size_t max);
/* data as one string: non-empty payload whose only NUL is its last byte. NULL otherwise. */
const char *xs_one_string(const char *data, uint32_t len);
/* A decimal number and nothing else. False: not a number, or above max. */
bool xs_parse_u32(const char *s, uint32_t max, uint32_t *out);
/* Payload of XS_WATCH_EVENT. 0 or -EPEER. */
int xs_event_split(const char *data, uint32_t len, const char **path, const char **token);

/* ---- errors, which travel by name ---- */

/* Name of a negative errno. One that the protocol has no word for is "EINVAL". */
const char *xs_error_name(int rc);
/* Negative errno of the payload of an XS_ERROR message; -EPEER for an unknown name. */
int xs_error_parse(const char *data, uint32_t len);

/* Name of a message type for logs, "?" if unknown. */
const char *xs_type_name(uint32_t type);

#endif
