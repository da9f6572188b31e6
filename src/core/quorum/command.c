/* Words of the contract: see command.h. */
#include "core/quorum/command.h"

#include <assert.h>
#include <string.h>

#include "core/quorum/quorum.h"

bool quorum_marker_is(const struct quorum_marker *a, const struct quorum_marker *b)
{
    return a->there == b->there && a->blank == b->blank && a->nonce == b->nonce &&
           strcmp(a->run_id, b->run_id) == 0 && strcmp(a->replication_id, b->replication_id) == 0;
}

const char *quorum_verb_word(enum quorum_verb verb)
{
    static const char *const words[] = {
#define VERB(name, word, script) word,
        QUORUM_VERBS(VERB)
#undef VERB
    };
    assert(verb < QUORUM_VERB_COUNT);
    return words[verb];
}

const char *quorum_answer_word(enum quorum_answer answer)
{
    static const char *const words[] = {"ok",      "new",   "name", "none",     "no",     "changed", "low",
                                        "missing", "other", "bare", "amnesiac", "failed", "dropped", "lost"};
    static_assert(sizeof(words) / sizeof(words[0]) == QUORUM_ANSWER_COUNT, "a word for each answer");
    assert(answer < QUORUM_ANSWER_COUNT);
    return words[answer];
}

const char *quorum_node_state_word(enum quorum_node_state state)
{
    static const char *const words[] = {
#define NODE_STATE(name, word) word,
        QUORUM_NODE_STATES(NODE_STATE)
#undef NODE_STATE
    };
    assert(state < QUORUM_NODE_STATE_COUNT);
    return words[state];
}
