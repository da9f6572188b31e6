/*
 * A client whose requests are answered by the test, without a server: for what is built on kube_send(). played.c defines
 * the client's functions itself, so it is a source of the test's program and not of a library.
 */
#ifndef EA_TESTS_KUBE_PLAYED_H
#define EA_TESTS_KUBE_PLAYED_H

#include "json.h"

#include "kube/kube.h"

struct loop;

/* For cmocka_run_group_tests(). */
int played_set_up(void **state);
int played_tear_down(void **state);

struct loop *played_loop(void);

/* Lets the loop do what is due. */
void played_turn(void);

/* Lets time pass, and the loop do what is due then. */
void played_wait_us(int64_t us);

/* Whether a request is under way; never more than one is. Its path. */
bool played_is_asked(void);
const char *played_path(void);
unsigned played_requests(void);

/*
 * Answers the request under way. 2xx: with `text`, JSON with ' for ", handed to a taker in pieces of `pieces` bytes (0:
 * in one). Another status: with a Status object of that message. 0: the connection broke, after a 2xx began with `text`.
 */
void played_answer(int status, const char *text, size_t pieces);

#endif
