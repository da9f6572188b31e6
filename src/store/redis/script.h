/*
 * The scripts of scripts/, as the build embeds them. What each does is said in core/quorum/command.h.
 *
 * Every script is loaded before the first command, and called by its SHA-1. Those that the protocol does not
 * drop (what gives something back) travel with their text instead, so that a flushed script cache can't make
 * them fail: a command is never sent twice, hence not after NOSCRIPT either.
 */
#ifndef EA_STORE_REDIS_SCRIPT_H
#define EA_STORE_REDIS_SCRIPT_H

#include <stdbool.h>

#include "base/str.h"

/* SCRIPT(NAME, travels with its text) */
#define REDIS_SCRIPTS(SCRIPT)    \
    SCRIPT(SET, false)           \
    SCRIPT(CLAIM, false)         \
    SCRIPT(LOOK, false)          \
    SCRIPT(REPAIR, false)        \
    SCRIPT(UNDO, true)           \
    SCRIPT(RESIGN, false)        \
    SCRIPT(HANDOVER, false)      \
    SCRIPT(RESTORE, true)        \
    SCRIPT(RESTORE_EXPIRY, true) \
    SCRIPT(READ, false)          \
    SCRIPT(NODE, true)           \
    SCRIPT(BEAT, false)          \
    SCRIPT(STOOD, false)

enum redis_script_name {
#define SCRIPT(name, travels) REDIS_SCRIPT_##name,
    REDIS_SCRIPTS(SCRIPT)
#undef SCRIPT
        REDIS_SCRIPT_COUNT
};

/* For servers before 7.0, and from 7.0 on. */
enum redis_edition { REDIS_EDITION_6, REDIS_EDITION_7, REDIS_EDITIONS };

struct redis_script {
    const char *word;
    struct {
        struct str sha;
        struct str text;
    } edition[REDIS_EDITIONS];
};

extern const struct redis_script redis_scripts[REDIS_SCRIPT_COUNT];

#endif
