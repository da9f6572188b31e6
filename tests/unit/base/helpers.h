/*
 * What several tests of base need: code that must end the process, run in a child; and a reader of flat JSON
 * that shares nothing with the code under test.
 */
#ifndef EA_TESTS_BASE_HELPERS_H
#define EA_TESTS_BASE_HELPERS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/random.h"
#include "base/str.h"

/*
 * Runs f(arg) in a child and returns what waitpid() says of it (0: it came back from f). What it wrote to
 * stderr goes to `words`, terminated.
 */
int run_in_child(void (*f)(void *arg), void *arg, struct buf *words);

/* The process ended by the signal. A sanitizer that catches the signal exits with its own code instead. */
bool died_by(int status, int number);

/* Bytes that text code stumbles over: parts of characters, quotes, escapes, controls, and anything else. */
void fill_hostile(struct rng *rng, char *bytes, size_t n);

/* Reads a JSON string at the head of *s into out (appended) and moves *s behind it. False if it isn't valid
 * JSON. */
bool json_take_string(struct str *s, struct buf *out);

/* {"name":"text","name":-12,"name":true}, without spaces, and nothing behind it but a line feed. */
bool json_is_flat_object(struct str s);

#endif
