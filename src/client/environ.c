/*
 * libuv's static library, as distributions build it, is position-independent but for these variables of the C library:
 * it refers to them directly, in functions that the library never calls (starting programs, printing handles). These
 * of the library alone, seen by nobody else, satisfy the linker.
 */
#include <stddef.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN extern char **election_environ __asm__("environ");
/* All zeros, as the real one. */
HIDDEN extern const unsigned char election_in6addr_any[16] __asm__("in6addr_any");
HIDDEN extern void *election_stdin __asm__("stdin");
HIDDEN extern void *election_stdout __asm__("stdout");
HIDDEN extern void *election_stderr __asm__("stderr");

const unsigned char election_in6addr_any[16] = {0};
char **election_environ = NULL;
void *election_stdin = NULL;
void *election_stdout = NULL;
void *election_stderr = NULL;
