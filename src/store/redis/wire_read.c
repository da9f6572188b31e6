/* Replies of a server: see wire.h. Nothing of them is trusted. */
#include "store/redis/wire.h"

#include <assert.h>
#include <string.h>

#include "base/hlc.h"

/* --- pieces --- */

static enum err failed(const struct resp_value *value, struct quorum_reply *reply,
                       const struct redis_failure **failure)
{
    reply->answer = QUORUM_FAILED;
    *failure = redis_failure_of(value->str);
    return EA_OK;
}

/* A lease that holds what can be no candidate: its node can't tell who leads. */
static enum err not_a_name(struct quorum_reply *reply, const struct redis_failure **failure)
{
    reply->answer = QUORUM_FAILED;
    *failure = redis_failure_of(STR("WRONGTYPE"));
    return EA_OK;
}

static bool is_name(struct str name)
{
    struct error ignored;
    return name_check("leader", name, &ignored) == EA_OK;
}

/* Tokens and fences: a damaged or missing one is none. One over the limit stays as it is, so that it is seen to
 * be too high. */
static uint64_t number_of(const struct resp_value *value)
{
    uint64_t number = 0;
    return resp_to_u64(value, &number) ? number : 0;
}

/* "<token> <owner> <name>[\n...]": the token, if it is `name`'s; else 0. */
static uint64_t token_of(const struct resp_value *tenure, struct str name)
{
    struct str rest = tenure->type == RESP_STRING ? tenure->str : (struct str){NULL, 0};
    struct str line;
    struct str token;
    struct str owner;
    uint64_t number = 0;
    if (!str_split(&rest, '\n', &line) || !str_split(&line, ' ', &token) || !str_split(&line, ' ', &owner) ||
        line.p == NULL || !str_eq(line, name) || !str_to_u64(token, &number) || number >= HLC_LIMIT) {
        return 0;
    }
    return number;
}

/* --- the words of scripts --- */

/* WORD(NAME, word, texts): what follows the word. */
struct word {
    struct str word;
    enum quorum_answer answer;
    size_t n; /* items with the word */
};

static const struct word words[] = {
    {STR_INIT("no"), QUORUM_NO, 1},       {STR_INIT("changed"), QUORUM_CHANGED, 1},
    {STR_INIT("low"), QUORUM_LOW, 2},     {STR_INIT("missing"), QUORUM_MISSING, 2},
    {STR_INIT("other"), QUORUM_OTHER, 1}, {STR_INIT("bare"), QUORUM_BARE, 2},
    {STR_INIT("none"), QUORUM_NONE, 1},   {STR_INIT("amnesiac"), QUORUM_AMNESIAC, 1},
    {STR_INIT("name"), QUORUM_NAME, 4},   {STR_INIT("ok"), QUORUM_OK, 1},
};

static const struct word *word_of(const struct resp_value *value)
{
    if (value->type != RESP_ARRAY || value->n == 0 || value->items[0].type != RESP_STRING) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_eq(value->items[0].str, words[i].word)) {
            return value->n >= words[i].n ? &words[i] : NULL;
        }
    }
    return NULL;
}

/* Name and token behind the word: of OTHER and NO, and of handover's OK. A name may be empty: nobody. */
static enum err take_name(const struct resp_value *value, struct quorum_reply *reply,
                          const struct redis_failure **failure)
{
    if (value->n < 3 || value->items[1].type != RESP_STRING) {
        return EA_PROTOCOL;
    }
    reply->name = value->items[1].str;
    reply->token = number_of(&value->items[2]);
    reply->committed = reply->token != 0;
    return reply->name.n == 0 || is_name(reply->name) ? EA_OK : not_a_name(reply, failure);
}

static enum err take_look(const struct resp_value *value, struct quorum_reply *reply,
                          const struct redis_failure **failure)
{
    switch (reply->answer) {
    case QUORUM_OK:
        if (value->n != 5 || !resp_to_u64(&value->items[1], &reply->token) ||
            value->items[2].type != RESP_STRING || !wire_owner_read(value->items[2].str, &reply->owner) ||
            !resp_to_i64(&value->items[4], &reply->expires_ms) || reply->token == 0 ||
            reply->token >= HLC_LIMIT) {
            return EA_PROTOCOL;
        }
        reply->fence = number_of(&value->items[3]);
        return EA_OK;
    case QUORUM_OTHER:
        return take_name(value, reply, failure);
    case QUORUM_MISSING:
    case QUORUM_BARE:
        reply->fence = number_of(&value->items[1]);
        return EA_OK;
    case QUORUM_AMNESIAC:
        return EA_OK;
    default:
        return EA_PROTOCOL;
    }
}

static enum err take_node(const struct resp_value *value, struct quorum_reply *reply)
{
    if (reply->answer == QUORUM_AMNESIAC) {
        return EA_OK;
    }
    if (value->n != 6 || value->items[1].type != RESP_STRING ||
        !resp_to_u64(&value->items[2], &reply->floor) || !resp_to_u64(&value->items[3], &reply->ceiling) ||
        !resp_to_i64(&value->items[4], &reply->max_term_ms) ||
        !resp_to_i64(&value->items[5], &reply->node_us)) {
        return EA_PROTOCOL;
    }
    wire_marker_read(value->items[1].str, &reply->marker);
    return EA_OK;
}

/* The answers that each script may give. */
static const uint32_t allowed[QUORUM_VERB_COUNT] = {
#define A(answer) (UINT32_C(1) << QUORUM_##answer)
    [QUORUM_CLAIM] = A(OK) | A(NO) | A(CHANGED) | A(LOW) | A(AMNESIAC),
    [QUORUM_LOOK] = A(OK) | A(MISSING) | A(OTHER) | A(BARE) | A(AMNESIAC),
    [QUORUM_REPAIR] = A(OK) | A(LOW) | A(OTHER) | A(AMNESIAC),
    [QUORUM_UNDO] = A(OK),
    [QUORUM_RESIGN] = A(OK) | A(NONE) | A(NO),
    [QUORUM_HANDOVER] = A(OK) | A(NO) | A(LOW) | A(AMNESIAC),
    [QUORUM_RESTORE] = A(OK),
    [QUORUM_RESTORE_EXPIRY] = A(OK),
    [QUORUM_READ] = A(NONE) | A(NAME),
    [QUORUM_NODE_READ] = A(OK),
    [QUORUM_NODE_MARK] = A(OK) | A(CHANGED),
    [QUORUM_NODE_RAISE] = A(OK) | A(AMNESIAC),
#undef A
};

static enum err take_exact(const struct resp_value *value, struct quorum_reply *reply,
                           const struct redis_failure **failure)
{
    if (reply->answer == QUORUM_NONE) {
        return EA_OK;
    }
    if (!resp_to_i64(&value->items[3], &reply->left_ms) || reply->left_ms < -1) {
        return EA_PROTOCOL;
    }
    return take_name(value, reply, failure);
}

static enum err take_script(enum quorum_verb verb, const struct resp_value *value, struct quorum_reply *reply,
                            const struct redis_failure **failure)
{
    if (value->type == RESP_ERROR) {
        return failed(value, reply, failure);
    }
    const struct word *word = word_of(value);
    if (word == NULL || (allowed[verb] >> word->answer & 1) == 0) {
        return EA_PROTOCOL;
    }
    reply->answer = word->answer;
    switch (verb) {
    case QUORUM_LOOK:
        return take_look(value, reply, failure);
    case QUORUM_NODE_READ:
    case QUORUM_NODE_MARK:
    case QUORUM_NODE_RAISE:
        return take_node(value, reply);
    case QUORUM_READ:
        return take_exact(value, reply, failure);
    case QUORUM_HANDOVER:
        if (word->answer == QUORUM_OK || word->answer == QUORUM_NO) {
            return take_name(value, reply, failure);
        }
        break;
    case QUORUM_RESIGN:
        if (word->answer == QUORUM_NO) {
            return take_name(value, reply, failure);
        }
        if (word->answer == QUORUM_OK) {
            return value->n == 2 && resp_to_u64(&value->items[1], &reply->token) ? EA_OK : EA_PROTOCOL;
        }
        break;
    default:
        break;
    }
    if (word->answer == QUORUM_LOW) {
        reply->fence = number_of(&value->items[1]);
    }
    return EA_OK;
}

/* --- plain commands --- */

static enum err take_lease(const struct resp_value *lease, enum quorum_answer nobody,
                           struct quorum_reply *reply, const struct redis_failure **failure)
{
    if (lease->type == RESP_NIL) {
        reply->answer = nobody;
        return EA_OK;
    }
    if (lease->type != RESP_STRING) {
        return EA_PROTOCOL;
    }
    reply->answer = QUORUM_NAME;
    reply->name = lease->str;
    return is_name(lease->str) ? EA_OK : not_a_name(reply, failure);
}

/* [lease, fence, tenure] */
static enum err take_three(const struct resp_value *value, enum quorum_answer nobody,
                           struct quorum_reply *reply, const struct redis_failure **failure)
{
    if (value->type == RESP_ERROR) {
        return failed(value, reply, failure);
    }
    if (value->type != RESP_ARRAY || value->n != 3) {
        return EA_PROTOCOL;
    }
    enum err err = take_lease(&value->items[0], nobody, reply, failure);
    reply->fence = number_of(&value->items[1]);
    reply->token = reply->answer == QUORUM_NAME ? token_of(&value->items[2], reply->name) : 0;
    return err;
}

/* SET's own reply: the old value, or nil when it was set. Kept until the other one comes. */
static enum err keep_first(const struct resp_value *value, struct wire_first *first)
{
    struct quorum_reply reply = {.answer = QUORUM_FAILED};
    *first = (struct wire_first){.there = true};
    enum err err = value->type == RESP_ERROR ? failed(value, &reply, &first->failure)
                                             : take_lease(value, QUORUM_NEW, &reply, &first->failure);
    first->answer = reply.answer;
    if (err == EA_OK && reply.answer == QUORUM_NAME) {
        memcpy(first->name, reply.name.p, reply.name.n);
        first->n = reply.name.n;
    }
    return err;
}

/* [fence, tenure] behind SET. If the SET was executed and this was not, the set still counts. */
static enum err take_second(const struct resp_value *value, struct wire_first *first,
                            struct quorum_reply *reply, const struct redis_failure **failure)
{
    if (!first->there) {
        return EA_PROTOCOL;
    }
    first->there = false;
    reply->answer = first->answer;
    *failure = first->failure;
    reply->name = (struct str){first->name, first->n};
    if (value->type == RESP_ERROR) {
        *failure = redis_failure_of(value->str);
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n != 2) {
        return EA_PROTOCOL;
    }
    reply->fence = number_of(&value->items[0]);
    reply->token = reply->answer == QUORUM_NAME ? token_of(&value->items[1], reply->name) : 0;
    return EA_OK;
}

/* --- what a command is answered --- */

enum err wire_read(const struct quorum_command *command, enum redis_edition edition, unsigned left,
                   const struct resp_value *value, struct wire_first *first, struct quorum_reply *reply,
                   const struct redis_failure **failure)
{
    *reply = (struct quorum_reply){.answer = QUORUM_FAILED, .left_ms = -1};
    *failure = NULL;
    switch (command->verb) {
    case QUORUM_SET:
        if (edition == REDIS_EDITION_6) {
            return take_three(value, QUORUM_NEW, reply, failure);
        }
        return left > 0 ? keep_first(value, first) : take_second(value, first, reply, failure);
    case QUORUM_PEEK:
        return take_three(value, QUORUM_NONE, reply, failure);
    default:
        return wire_batch_max(command) > 0 ? wire_read_item(command->verb, value, 0, 1, reply, failure)
                                           : take_script(command->verb, value, reply, failure);
    }
}

enum err wire_read_item(enum quorum_verb verb, const struct resp_value *value, size_t i, size_t n,
                        struct quorum_reply *reply, const struct redis_failure **failure)
{
    bool plain = verb == QUORUM_READ; /* two values each: lease, tenure */
    *reply = (struct quorum_reply){.answer = QUORUM_FAILED, .left_ms = -1};
    *failure = NULL;
    if (value->type == RESP_ERROR) {
        return failed(value, reply, failure);
    }
    if (value->type != RESP_ARRAY || value->n != (plain ? 2 * n : n)) {
        return EA_PROTOCOL;
    }
    if (!plain) {
        return take_script(verb, &value->items[i], reply, failure);
    }
    enum err err = take_lease(&value->items[2 * i], QUORUM_NONE, reply, failure);
    reply->token = reply->answer == QUORUM_NAME ? token_of(&value->items[2 * i + 1], reply->name) : 0;
    return err;
}
