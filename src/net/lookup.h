/*
 * The addresses of a name. getaddrinfo() may wait for half a minute when DNS is away, and can't be called off: each
 * lookup has a thread of its own, which nobody waits for. (libuv's pool has to be waited for when a loop ends, ends the
 * program when its threads can't be made, and keeps them for the life of the process.)
 *
 * Loop thread. Its memory is the heap's, since the thread outlives who asked.
 */
#ifndef EA_NET_LOOKUP_H
#define EA_NET_LOOKUP_H

#include <netdb.h>

#include "base/error.h"

struct lookup;

/* EA_NOMEM, EA_IO: there is no memory, descriptor or thread for it; *out is NULL. */
enum err lookup_open(struct lookup **out, const char *host, struct error *error) EA_MUST_CHECK;

/* Readable (POLLIN) when it is over. */
int lookup_fd(const struct lookup *lookup);

/* When it is over: the addresses, the caller's to free with freeaddrinfo(); or NULL, and why. Once. */
struct addrinfo *lookup_take(struct lookup *lookup, struct error *error);

/* At any time; does not wait. */
void lookup_close(struct lookup *lookup);

#endif
