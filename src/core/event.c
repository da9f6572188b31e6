/* The words of events: see event.h. */
#include "core/event.h"

#include <assert.h>

const char *election_action_word(enum election_action action)
{
    static const char *const words[] = {
#define EVENT(name, word) word,
        ELECTION_ACTIONS(EVENT)
#undef EVENT
    };
    assert((unsigned)action < ACTION_COUNT);
    return words[action];
}
