/* What the embedded store's tests share: a directory, a loop on a fake clock, a store on one lane, requests.
 */
#ifndef EA_TESTS_EMBEDDED_RIG_H
#define EA_TESTS_EMBEDDED_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "core/request.h"
#include "net/loop.h"
#include "store/embedded/internal.h"

#define RIG_TERM_MS INT64_C(10000)

struct rig {
    char directory[64];
    char file[96];         /* of the leases */
    char boot_id_file[96]; /* what the store takes for the kernel's */
    struct clock_fake clock;
    struct loop *loop;
    struct store *store; /* NULL: closed */
    bool power;
    struct arena arena;
    struct election_request request;
    bool answered;
    char leader[NAME_BYTES_MAX + 1]; /* of the last answer */
    char why[256];
};

void rig_init(struct rig *rig);
void rig_fini(struct rig *rig); /* closes, and removes the directory */

void rig_boot(struct rig *rig, const char *boot_id);
enum err rig_open(struct rig *rig, struct error *error);
void rig_close(struct rig *rig);

/* Asks and steps the loop until the answer is there. */
struct election_request *rig_ask(struct rig *rig, struct election_request request);
struct election_request *rig_op(struct rig *rig, enum election_op op, const char *election, const char *who);

/* Asks without waiting; rig->answered tells. */
void rig_submit(struct rig *rig, struct election_request request);
void rig_wait(struct rig *rig);

void rig_advance_ms(struct rig *rig, int64_t ms);

/* Whole files. rig_read's memory is mem_free'd by the caller. */
char *rig_read(const char *path, size_t *n);
void rig_write(const char *path, const void *p, size_t n);

#endif
