/* Commands on their way to a server: see wire.h; the scripts' arguments are named at their head. */
#include "store/redis/wire.h"

#include <assert.h>
#include <string.h>

/* --- pieces --- */

static void add_key(const struct wire *wire, enum redis_key which, const struct quorum_names *names,
                    struct buf *out)
{
    char key[REDIS_KEY_BYTES_MAX];
    size_t n = redis_key_write(wire->keys, which, names->kind, names->election, key);
    resp_add(out, (struct str){key, n});
}

static void add_node_key(const struct wire *wire, const struct wire_node *node, struct buf *out)
{
    char key[REDIS_KEY_BYTES_MAX];
    size_t n = redis_key_write_node(wire->keys, node->tag, key);
    resp_add(out, (struct str){key, n});
}

/* No owner is the empty word. */
static void add_owner(struct quorum_owner owner, struct buf *out)
{
    char text[WIRE_OWNER_BYTES + 1] = "";
    if (owner.clock != 0 || owner.agent != 0) {
        wire_owner_write(owner, text);
    }
    resp_add(out, str_of(text));
}

static void add_marker(const struct quorum_marker *marker, struct buf *out)
{
    char text[WIRE_MARKER_BYTES];
    size_t n = wire_marker_write(marker, text);
    resp_add(out, (struct str){text, n});
}

static void begin_script(const struct wire_node *node, enum redis_script_name name, size_t keys, size_t args,
                         struct buf *out)
{
    static const bool travels[] = {
#define SCRIPT(script, with_text) with_text,
        REDIS_SCRIPTS(SCRIPT)
#undef SCRIPT
    };
    resp_begin(out, 3 + keys + args);
    if (travels[name]) {
        resp_add(out, STR("EVAL"));
        resp_add(out, redis_scripts[name].edition[node->edition].text);
    } else {
        resp_add(out, STR("EVALSHA"));
        resp_add(out, redis_scripts[name].edition[node->edition].sha);
    }
    resp_add_u64(out, keys);
}

/* The script of an election: keys node, lease, tenure, fence; the first argument is the marker. */
static void begin_election(const struct wire *wire, const struct wire_node *node, enum redis_script_name name,
                           const struct quorum_command *command, bool display, size_t args, struct buf *out)
{
    begin_script(node, name, display ? 6 : 4, 1 + args, out);
    add_node_key(wire, node, out);
    add_key(wire, REDIS_KEY_LEASE, command->names, out);
    add_key(wire, REDIS_KEY_TENURE, command->names, out);
    add_key(wire, REDIS_KEY_FENCE, command->names, out);
    if (display) {
        add_key(wire, REDIS_KEY_META, command->names, out);
        add_key(wire, REDIS_KEY_CANDIDATES, command->names, out);
    }
    resp_add(out, str_of(node->marker));
}

#define NOTICE_WORDS 6

static void add_notice(const struct wire *wire, const struct quorum_command *command, struct buf *out)
{
    resp_add(out, wire->channel);
    resp_add(out, command->names->kind);
    resp_add(out, command->names->election);
    resp_add_i64(out, command->wall.us);
    resp_add_i64(out, command->term_ms);
    resp_add_i64(out, command->priority);
}

/* --- round 1 --- */

/* 7.0 and later take NX with GET: two native commands. */
static unsigned write_set(const struct wire *wire, const struct wire_node *node,
                          const struct quorum_command *command, struct buf *out)
{
    const struct quorum_names *names = command->names;
    if (node->edition == REDIS_EDITION_6) {
        begin_script(node, REDIS_SCRIPT_SET, 3, 2, out);
        add_key(wire, REDIS_KEY_LEASE, names, out);
        add_key(wire, REDIS_KEY_TENURE, names, out);
        add_key(wire, REDIS_KEY_FENCE, names, out);
        resp_add(out, names->candidate);
        resp_add_i64(out, command->term_ms);
        return 1;
    }
    resp_begin(out, 7);
    resp_add(out, STR("SET"));
    add_key(wire, REDIS_KEY_LEASE, names, out);
    resp_add(out, names->candidate);
    resp_add(out, STR("PX"));
    resp_add_i64(out, command->term_ms);
    resp_add(out, STR("NX"));
    resp_add(out, STR("GET"));
    resp_begin(out, 3);
    resp_add(out, STR("MGET"));
    add_key(wire, REDIS_KEY_FENCE, names, out);
    add_key(wire, REDIS_KEY_TENURE, names, out);
    return 2;
}

static void write_peek(const struct wire *wire, const struct quorum_command *command, struct buf *out)
{
    resp_begin(out, 4);
    resp_add(out, STR("MGET"));
    add_key(wire, REDIS_KEY_LEASE, command->names, out);
    add_key(wire, REDIS_KEY_FENCE, command->names, out);
    add_key(wire, REDIS_KEY_TENURE, command->names, out);
}

/* --- many as one call --- */

static void add_lease_keys(const struct wire *wire, const struct quorum_names *names, struct buf *out)
{
    add_key(wire, REDIS_KEY_LEASE, names, out);
    add_key(wire, REDIS_KEY_TENURE, names, out);
    add_key(wire, REDIS_KEY_FENCE, names, out);
}

static void write_reads(const struct wire *wire, const struct quorum_command *const *commands, size_t n,
                        struct buf *out)
{
    resp_begin(out, 1 + 2 * n);
    resp_add(out, STR("MGET"));
    for (size_t i = 0; i < n; i++) {
        add_key(wire, REDIS_KEY_LEASE, commands[i]->names, out);
        add_key(wire, REDIS_KEY_TENURE, commands[i]->names, out);
    }
}

static void write_looks(const struct wire *wire, const struct wire_node *node,
                        const struct quorum_command *const *commands, size_t n, struct buf *out)
{
    begin_script(node, REDIS_SCRIPT_LOOK, 1 + 3 * n, 1 + 3 * n, out);
    add_node_key(wire, node, out);
    for (size_t i = 0; i < n; i++) {
        add_lease_keys(wire, commands[i]->names, out);
    }
    resp_add(out, str_of(node->marker));
    for (size_t i = 0; i < n; i++) {
        resp_add(out, commands[i]->names->candidate);
        add_owner(commands[i]->owner, out);
        resp_add_i64(out, commands[i]->term_ms);
    }
}

static void write_claims(const struct wire *wire, const struct wire_node *node,
                         const struct quorum_command *const *commands, size_t n, struct buf *out)
{
    begin_script(node, REDIS_SCRIPT_CLAIM, 1 + 5 * n, 1 + (6 + NOTICE_WORDS) * n, out);
    add_node_key(wire, node, out);
    for (size_t i = 0; i < n; i++) {
        add_lease_keys(wire, commands[i]->names, out);
    }
    for (size_t i = 0; i < n; i++) {
        add_key(wire, REDIS_KEY_META, commands[i]->names, out);
        add_key(wire, REDIS_KEY_CANDIDATES, commands[i]->names, out);
    }
    resp_add(out, str_of(node->marker));
    for (size_t i = 0; i < n; i++) {
        resp_add(out, commands[i]->names->candidate);
        resp_add_u64(out, commands[i]->token);
        add_owner(commands[i]->owner, out);
        resp_add_u64(out, commands[i]->expect.token);
        add_owner(commands[i]->expect.owner, out);
        resp_add_i64(out, commands[i]->term_ms);
        add_notice(wire, commands[i], out);
    }
}

size_t wire_batch_max(const struct quorum_command *command)
{
    switch (command->verb) {
    case QUORUM_LOOK:
        return WIRE_LOOKS_MAX;
    case QUORUM_CLAIM:
        return WIRE_CLAIMS_MAX;
    case QUORUM_READ:
        return command->exact ? 0 : WIRE_READS_MAX;
    default:
        return 0;
    }
}

void wire_write_batch(const struct wire *wire, const struct wire_node *node,
                      const struct quorum_command *const *commands, size_t n, struct buf *out)
{
    assert(n > 0 && n <= wire_batch_max(commands[0]));
    switch (commands[0]->verb) {
    case QUORUM_LOOK:
        write_looks(wire, node, commands, n, out);
        break;
    case QUORUM_CLAIM:
        write_claims(wire, node, commands, n, out);
        break;
    default:
        write_reads(wire, commands, n, out);
        break;
    }
}

/* --- scripts --- */

static void add_seen(const struct quorum_command *command, const struct quorum_hello *hello, bool blank,
                     struct buf *out)
{
    struct quorum_marker marker = {.there = command->nonce != 0, .blank = blank, .nonce = command->nonce};
    memcpy(marker.run_id, hello->run_id, sizeof marker.run_id);
    memcpy(marker.replication_id, hello->replication_id, sizeof marker.replication_id);
    add_marker(&marker, out);
}

static void write_repair(const struct wire *wire, const struct wire_node *node,
                         const struct quorum_command *command, struct buf *out)
{
    begin_election(wire, node, REDIS_SCRIPT_REPAIR, command, false, 7, out);
    resp_add(out, command->names->candidate);
    resp_add_u64(out, command->token);
    add_owner(command->owner, out);
    resp_add(out, command->force ? STR("1") : STR("0"));
    add_seen(command, node->hello, false, out);
    add_seen(command, node->hello, true, out);
    resp_add_i64(out, command->term_ms);
}

static void write_undo(const struct wire *wire, const struct wire_node *node,
                       const struct quorum_command *command, struct buf *out)
{
    begin_election(wire, node, REDIS_SCRIPT_UNDO, command, false, 1 + 2 * (size_t)command->n_tried, out);
    resp_add(out, command->names->candidate);
    for (unsigned i = 0; i < command->n_tried; i++) {
        resp_add_u64(out, command->tried[i].token);
        add_owner(command->tried[i].owner, out);
    }
}

static void write_resign(const struct wire *wire, const struct wire_node *node,
                         const struct quorum_command *command, struct buf *out)
{
    begin_election(wire, node, REDIS_SCRIPT_RESIGN, command, true, 4 + NOTICE_WORDS, out);
    resp_add(out, command->names->candidate);
    resp_add_u64(out, command->token);
    add_owner(command->owner, out);
    resp_add_u64(out, command->force ? 1 : 0);
    add_notice(wire, command, out);
}

static void write_handover(const struct wire *wire, const struct wire_node *node,
                           const struct quorum_command *command, struct buf *out)
{
    begin_election(wire, node, REDIS_SCRIPT_HANDOVER, command, true, 7 + NOTICE_WORDS, out);
    resp_add(out, command->names->candidate);
    resp_add_u64(out, command->token);
    add_owner(command->owner, out);
    resp_add(out, command->names->from);
    resp_add_u64(out, command->expect.token);
    add_owner(command->expect.owner, out);
    resp_add_i64(out, command->term_ms);
    add_notice(wire, command, out);
}

static void write_restore(const struct wire *wire, const struct wire_node *node,
                          const struct quorum_command *command, struct buf *out)
{
    bool expiry = command->verb == QUORUM_RESTORE_EXPIRY;
    begin_election(wire, node, expiry ? REDIS_SCRIPT_RESTORE_EXPIRY : REDIS_SCRIPT_RESTORE, command, false,
                   expiry ? 4 : 3, out);
    resp_add(out, command->names->candidate);
    resp_add_u64(out, command->token);
    add_owner(command->owner, out);
    if (expiry) {
        resp_add_i64(out, command->expires_ms);
    }
}

static void write_node(const struct wire *wire, const struct wire_node *node,
                       const struct quorum_command *command, struct buf *out)
{
    size_t args = command->verb == QUORUM_NODE_READ ? 1 : command->verb == QUORUM_NODE_MARK ? 6 : 4;
    begin_script(node, REDIS_SCRIPT_NODE, 1, args, out);
    add_node_key(wire, node, out);
    if (command->verb == QUORUM_NODE_READ) {
        resp_add(out, STR("read"));
        return;
    }
    if (command->verb == QUORUM_NODE_MARK) {
        resp_add(out, STR("mark"));
        add_marker(&command->marker_old, out);
        add_marker(&command->marker, out);
        resp_add_u64(out, command->floor);
    } else {
        resp_add(out, STR("raise"));
        resp_add(out, str_of(node->marker));
    }
    resp_add_u64(out, command->ceiling);
    resp_add_i64(out, command->max_term_ms);
}

unsigned wire_write(const struct wire *wire, const struct wire_node *node,
                    const struct quorum_command *command, struct buf *out)
{
    switch (command->verb) {
    case QUORUM_SET:
        return write_set(wire, node, command, out);
    case QUORUM_PEEK:
        write_peek(wire, command, out);
        break;
    case QUORUM_CLAIM:
    case QUORUM_LOOK:
        wire_write_batch(wire, node, &command, 1, out);
        break;
    case QUORUM_REPAIR:
        write_repair(wire, node, command, out);
        break;
    case QUORUM_UNDO:
        write_undo(wire, node, command, out);
        break;
    case QUORUM_RESIGN:
        write_resign(wire, node, command, out);
        break;
    case QUORUM_HANDOVER:
        write_handover(wire, node, command, out);
        break;
    case QUORUM_RESTORE:
    case QUORUM_RESTORE_EXPIRY:
        write_restore(wire, node, command, out);
        break;
    case QUORUM_READ:
        if (command->exact) {
            begin_election(wire, node, REDIS_SCRIPT_READ, command, false, 0, out);
        } else {
            wire_write_batch(wire, node, &command, 1, out);
        }
        break;
    case QUORUM_NODE_READ:
    case QUORUM_NODE_MARK:
    case QUORUM_NODE_RAISE:
        write_node(wire, node, command, out);
        break;
    case QUORUM_VERB_COUNT:
        assert(false);
    }
    return 1;
}
