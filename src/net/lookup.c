#include "net/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct lookup {
    atomic_uint references; /* who asked, and the thread; the last one frees */
    int fd;                 /* written once, after what follows */
    int status;             /* of getaddrinfo() */
    int errnum;             /* EAI_SYSTEM */
    struct addrinfo *found;
    char host[];
};

static void release(struct lookup *lookup)
{
    if (atomic_fetch_sub_explicit(&lookup->references, 1, memory_order_acq_rel) == 1) {
        if (lookup->found != NULL) {
            freeaddrinfo(lookup->found);
        }
        if (lookup->fd >= 0) {
            (void)close(lookup->fd);
        }
        free(lookup);
    }
}

static void *look_up(void *arg)
{
    struct lookup *lookup = arg;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const uint64_t one = 1;
    lookup->status = getaddrinfo(lookup->host, NULL, &hints, &lookup->found);
    lookup->errnum = errno;
    if (lookup->status != 0) {
        lookup->found = NULL; /* POSIX does not say what it is then */
    }
    (void)!write(lookup->fd, &one, sizeof one);
    release(lookup);
    return NULL;
}

/* 0 or an errno. The thread takes no signals: they are the program's. */
static int start(struct lookup *lookup)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int failed = pthread_attr_init(&attributes);
    if (failed != 0) {
        return failed;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, look_up, lookup);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return failed;
}

enum err lookup_open(struct lookup **out, const char *host, struct error *error)
{
    size_t bytes = strlen(host) + 1;
    struct lookup *lookup = calloc(1, sizeof *lookup + bytes);
    *out = NULL;
    if (lookup == NULL) {
        return error_set(error, EA_NOMEM, "cannot look up the host %s: out of memory", host);
    }
    memcpy(lookup->host, host, bytes);
    atomic_init(&lookup->references, 2);
    lookup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = lookup->fd < 0 ? errno : start(lookup);
    if (failed != 0) {
        atomic_init(&lookup->references, 1);
        release(lookup);
        return error_set_errno(error, failed == ENOMEM ? EA_NOMEM : EA_IO, failed,
                               "cannot look up the host %s", host);
    }
    *out = lookup;
    return EA_OK;
}

int lookup_fd(const struct lookup *lookup)
{
    return lookup->fd;
}

struct addrinfo *lookup_take(struct lookup *lookup, struct error *error)
{
    uint64_t ignored;
    (void)!read(lookup->fd, &ignored, sizeof ignored); /* what the thread wrote before is seen from here on */
    struct addrinfo *found = lookup->found;
    lookup->found = NULL;
    if (found == NULL) {
        (void)error_set(error, EA_IO, "cannot find the host %s: %s", lookup->host,
                        lookup->status == EAI_SYSTEM ? strerror(lookup->errnum)
                                                     : gai_strerror(lookup->status));
    }
    return found;
}

void lookup_close(struct lookup *lookup)
{
    release(lookup);
}
