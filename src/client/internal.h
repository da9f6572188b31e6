/*
 * Inside libelection: what its files share.
 *
 *   failover.c   decides (see failover.h)
 *   config.c     checks a configuration and copies it
 *   engine.c     carries out what is decided: the loop's side
 *   term.c       how long this node leads, for readers without a lock (see term.h)
 *   words.c      the agent's settings by the names that the library's have
 *   callbacks.c  the thread of on_start and on_stop, and their context
 *   library.c    the public functions: life and leadership
 *   show.c       the public functions that show something; logging
 *
 * Threads. The engine runs on the loop's thread: the library's own, or whoever calls election_dispatch(). What others
 * look at (`failover`, the entries, the phases) is guarded by `lock`, which is never held while a callback of the
 * program runs or the store is asked. is_leader and revision read `term` without a lock.
 *
 * Memory. Everything that lives after election_run() comes from the instance's pool, so that nothing that happens
 * later can fail for want of memory; the struct itself and its pages are allocated once. See base/mem.h for what
 * happens if that should not suffice: the instance stops, and is never leader again.
 */
#ifndef EA_CLIENT_INTERNAL_H
#define EA_CLIENT_INTERNAL_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "client/failover.h"
#include "client/term.h"
#include "election.h"
#include "net/loop.h"
#include "store/redis/redis.h"
#include "store/store.h"

#define CHANGES_MAX 8

struct election_settings {
    char project[ELECTION_NAME_BYTES];
    char node_id[ELECTION_NAME_BYTES];
    char prefix[ELECTION_NAME_BYTES];
    struct failover_settings failover; /* without seed and hooks */
    struct redis_options redis;
    const char *urls[15];
    char *url_text; /* the pool's */
    bool own_loop;
    struct election_config program; /* its callbacks; texts are not looked at after the run */
};

/* What on_start gets. One serves all leaderships of an instance, one after the other. */
struct election_context {
    struct election_term *term;
    _Atomic uint64_t token; /* of the present on_start */
    _Atomic bool over;
    int epoll_fd; /* readable: over_fd was written, or the deadline has come */
    int over_fd;
    int timer_fd;
};

enum job { JOB_NONE, JOB_START, JOB_STOP, JOB_QUIT };

struct worker {
    pthread_t thread;
    bool started;
    _Atomic pid_t id; /* while it runs */
    pthread_cond_t wake;
    enum job job; /* to be done; guarded by the instance's lock */
    bool busy;
    bool inside_start; /* on_start runs */
    uint64_t token;
    int result;
    struct loop_message done;
    enum job did;
};

enum phase { PHASE_OPEN, PHASE_CLOSING, PHASE_CLOSED };

struct change {
    char leader[ELECTION_NAME_BYTES];
    char previous[ELECTION_NAME_BYTES];
    uint64_t token;
};

struct election {
    struct election_settings settings;
    struct election_term *term;
    struct election_context context;
    struct worker worker;

    struct pool pool;
    struct mem_source source;
    jmp_buf out_of_memory; /* of the thread that runs the engine */
    struct log_tap tap;

    struct loop *loop;
    struct store *store;
    pthread_t loop_thread;
    bool loop_started;
    pthread_mutex_t turn_lock; /* program's loop: dispatch against close */
    _Atomic pid_t inside;      /* the thread that runs the engine now, by its id; 0: none */
    int program_fd;            /* epoll of the loop and of program_timer; -1: own thread */
    int program_timer;

    struct loop_task turn;
    struct loop_timer timer;
    struct loop_message step_down;
    struct loop_message close;
    struct election_request request; /* at most one is under way */
    struct arena arena;
    char arena_block[2048] __attribute__((aligned(16)));
    char heir[ELECTION_NAME_BYTES];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum phase phase;
    enum election_error result;
    unsigned references; /* the handle, the worker */
    bool step_down_posted;
    bool deaf;   /* the loop is gone: nothing is posted to it */
    bool failed; /* out of memory */
    bool lapsed; /* a renewal came too late: the end was seen */
    struct failover failover;
    struct election_entry entries[ELECTION_ENTRIES_MAX];
    char whys[ELECTION_ENTRIES_MAX][64];
    uint64_t n_entries; /* ever */
    uint64_t n_told;    /* to the log */
    struct change changes[CHANGES_MAX];
    unsigned n_changes;
    bool store_up;
    char store_why[160];
};

/* --- config.c --- */

enum err config_take(struct election_settings *out, const struct election_config *config,
                     struct error *error) EA_MUST_CHECK;

/* --- engine.c --- */

enum err engine_open(struct election *e, struct error *error) EA_MUST_CHECK;
void engine_run(struct election *e);   /* own thread: until it is over */
void engine_step(struct election *e);  /* program's loop: everything that is due */
void engine_free(struct election *e);  /* what engine_open() made; the loop does not run */
void engine_touch(struct election *e); /* loop's thread: a turn soon */
bool engine_is_over(struct election *e);
void engine_worker_done(struct loop *loop, struct loop_message *message);
/* The pool's memory and the program's logger, for calls into the rooms below. */
struct guest {
    struct mem_source *source;
    struct log_tap *tap;
};
struct guest engine_enter(struct election *e);
void engine_leave(struct guest before);

/* --- callbacks.c --- */

enum err callbacks_open(struct election *e, struct error *error) EA_MUST_CHECK;
void callbacks_close(struct election *e); /* descriptors; the worker is gone */
/* False: see term_prolong(). {0}, 0: leads no more. */
bool callbacks_lead(struct election *e, struct mono until, uint64_t token);
/* With the lock. */
void callbacks_start(struct election *e, uint64_t token);
void callbacks_end(struct election *e);
void callbacks_stop(struct election *e, uint64_t token);
void callbacks_quit(struct election *e);
void election_release(struct election *e); /* a reference; the last one frees */

/* --- show.c --- */

void show_log(struct log_tap *tap, enum log_level level, const char *part, const char *message,
              const struct log_field *fields, size_t n);
bool show_is_forked(const struct election *e);

#endif
