/* What the rooms below say in the words of the agent's settings, in those of struct election_config. */
#ifndef EA_CLIENT_WORDS_H
#define EA_CLIENT_WORDS_H

#include <stddef.h>

/* Writes `from` with every name of a setting replaced, cut to `bytes` with the terminator. */
void words_translate(char *out, size_t bytes, const char *from);

#endif
