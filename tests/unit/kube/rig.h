/*
 * A client on a loop, and the test API server (tests/kube/) as a process beside it. The loop runs until something is
 * true; nobody sleeps.
 */
#ifndef EA_TESTS_KUBE_RIG_H
#define EA_TESTS_KUBE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "kube/kube.h"

struct rig {
    struct loop *loop;
    struct kube *kube;
    char directory[64]; /* holds the kubeconfig, named "config" */
    char config[96];
    unsigned port;
    long server; /* process */
    int server_stdin;
    int64_t deadline_ms; /* of what rig_ask() asks */
    bool once;           /* ... and it is not tried again, so that a failure is told at once */
};

/* argv: further arguments of apiserver.py, ended by NULL; may be NULL. */
void rig_init(struct rig *rig, const char *const *argv);
void rig_fini(struct rig *rig);

/* A client from a kubeconfig of the test's own instead; NULL: the server's again. */
void rig_reopen(struct rig *rig, const char *kubeconfig_text);

/* Writes a file in the rig's directory and returns its path (valid until the next call). */
const char *rig_file(struct rig *rig, const char *name, const char *text);

/* Runs the loop until *flag, and fails after 20 s of real time. */
void rig_until(struct rig *rig, const bool *flag);
void rig_until_true(struct rig *rig, bool (*is_true)(void *arg), void *arg);

struct rig_answer {
    enum err err;
    int status;
    bool maybe_done;
    char reason[KUBE_REASON_BYTES];
    char error[240];
    char body[8192];
};

/* Sends and waits. */
struct rig_answer rig_ask(struct rig *rig, enum kube_method method, const char *path, const char *body);

/* An order to the server (tests/kube/README.md), in JSON with ' for ". */
void rig_order(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* How often the server was asked something that contains all of `verb` and `resource`. */
unsigned rig_asked(struct rig *rig, const char *verb, const char *resource);

int rig_set_up(void **state);
int rig_tear_down(void **state);
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_set_up, rig_tear_down)

#endif
