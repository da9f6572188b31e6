/*
 * Whether the application is well: its health page answers 2xx, its file is touched in time. Looked at every second;
 * three failures in a row make it sick, one success makes it well. It begins sick. Loop thread.
 */
#ifndef EA_ELECTOR_HEALTH_H
#define EA_ELECTOR_HEALTH_H

#include "base/error.h"
#include "net/loop.h"

struct health;

struct health_options {
    struct loop *loop;
    const char *url;     /* http://host[:port][/path]; empty: none. Texts outlive the health. */
    const char *file;    /* empty: none */
    int64_t file_age_us; /* the file must be younger */
    void (*changed)(void *user, bool healthy);
    void *user;
};

/* EA_CONFIG: what is wrong with the URL. */
enum err health_open(struct health **out, const struct health_options *options,
                     struct error *error) EA_MUST_CHECK;

/* The memory goes with the last connection, in one of the loop's next turns. */
void health_close(struct health *health);

#endif
