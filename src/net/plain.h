/* Streams over the kernel's sockets (TCP, unix). Internal to net/. */
#ifndef EA_NET_PLAIN_H
#define EA_NET_PLAIN_H

#include "net/stream.h"

/* Takes over a connected, non-blocking stream socket, and closes it at the end. EA_IO (and the socket is
 * closed) if the kernel does not watch it. */
enum err plain_stream_new(struct stream **out, struct loop *loop, int fd, struct error *error) EA_MUST_CHECK;

/* What an idle stream costs, without the kernel's share. */
size_t plain_stream_bytes(void);

/* An errno of a connection as what it means for a stream. */
enum err plain_error(int errnum);

/* "1.2.3.4:80", "[::1]:80", "unix". As stream_peer(). */
struct sockaddr;
size_t plain_address_text(const struct sockaddr *address, char *out, size_t cap);

#endif
