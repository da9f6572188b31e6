/*
 * The embedded store (spec: embedded.md): one agent, no server beside it. Leases live in memory, each owned
 * by one loop; what must survive a restart lives in a file. DESIGN.md says how, and why no crash can break a
 * promise.
 *
 * The loops outlive the store: close it after they have stopped and before they are freed.
 */
#ifndef EA_STORE_EMBEDDED_EMBEDDED_H
#define EA_STORE_EMBEDDED_EMBEDDED_H

#include "base/error.h"
#include "store/store.h"

extern const struct store_ops store_embedded_ops;

/* What tests replace. */
struct embedded_seams {
    const char *boot_id_file; /* the kernel's name of this boot */
};

/*
 * store_embedded_ops.open with seams. EA_BUSY: another process has the directory; EA_CORRUPT: the file is
 * damaged, and is left as it is; EA_CONFIG: the directory can't be used; EA_IO.
 */
enum err embedded_open(struct store **out, const struct store_options *options,
                       const struct embedded_seams *seams, struct error *error) EA_MUST_CHECK;

#endif
