/*
 * The quorum's commands as Redis commands, and the replies as the quorum's replies: core/quorum/command.h is
 * the contract. Bytes in, bytes out; a server's replies are checked word by word.
 */
#ifndef EA_STORE_REDIS_WIRE_H
#define EA_STORE_REDIS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/quorum/quorum.h"
#include "store/redis/failure.h"
#include "store/redis/keys.h"
#include "store/redis/resp.h"
#include "store/redis/script.h"

/* Elections in one call of a script, which blocks its server meanwhile; in one MGET. */
#define WIRE_LOOKS_MAX    50
#define WIRE_CLAIMS_MAX   20
#define WIRE_READS_MAX    128
#define WIRE_MARKER_BYTES 128

/* What of a command's form depends on the deployment, and on the server that it goes to. */
struct wire {
    const struct redis_keys *keys;
    struct str channel; /* of notices */
};

struct wire_node {
    enum redis_edition edition;
    const struct quorum_hello *hello;
    char marker[WIRE_MARKER_BYTES]; /* the final one, of hello's ids */
    uint32_t tag;                   /* cluster mode: of the slot */
};

void wire_node_init(struct wire_node *node, enum redis_edition edition, const struct quorum_hello *hello,
                    uint32_t tag);

/* Writes one command; returns the number of replies (1 or 2). */
unsigned wire_write(const struct wire *wire, const struct wire_node *node,
                    const struct quorum_command *command, struct buf *out);

/* How many of the verb can go as one call (0: it goes alone): looks and claims by a script, reads (not exact ones) by MGET. */
size_t wire_batch_max(const struct quorum_command *command);

/* Many of one verb as one call. One reply with an item for each, see wire_read_item(). */
void wire_write_batch(const struct wire *wire, const struct wire_node *node,
                      const struct quorum_command *const *commands, size_t n, struct buf *out);

/*
 * A reply to a command. Of the first of two replies, which is only kept, `name` takes a copy (NAME_BYTES_MAX);
 * false is returned, and true with the last. An error reply is QUORUM_FAILED with its row in *failure. What
 * does not fit the command is EA_PROTOCOL.
 */
struct wire_first {
    bool there;
    enum quorum_answer answer;
    const struct redis_failure *failure;
    char name[NAME_BYTES_MAX];
    size_t n;
};

enum err wire_read(const struct quorum_command *command, enum redis_edition edition, unsigned left,
                   const struct resp_value *value, struct wire_first *first, struct quorum_reply *reply,
                   const struct redis_failure **failure) EA_MUST_CHECK;

/* The item of the reply to a batch of n of this verb. EA_PROTOCOL if it has not n. */
enum err wire_read_item(enum quorum_verb verb, const struct resp_value *value, size_t i, size_t n,
                        struct quorum_reply *reply, const struct redis_failure **failure) EA_MUST_CHECK;

/* The text forms. */
size_t wire_marker_write(const struct quorum_marker *marker, char out[WIRE_MARKER_BYTES]);
void wire_marker_read(struct str text, struct quorum_marker *marker);
#define WIRE_OWNER_BYTES 33
void wire_owner_write(struct quorum_owner owner, char out[WIRE_OWNER_BYTES + 1]);
bool wire_owner_read(struct str text, struct quorum_owner *owner);

#endif
