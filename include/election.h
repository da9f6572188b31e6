/*
 * libelection: for programs that want to be elected, directly on Redis, without an agent between.
 *
 *     static int lead(void *user, struct election_context *context)
 *     {
 *         while (election_context_wait(context, 1000) == ELECTION_TIMEOUT) {
 *             work(election_context_token(context));
 *         }
 *         return 0;
 *     }
 *
 *     struct election_config config;
 *     struct election *election;
 *     char words[ELECTION_WORDS_BYTES];
 *     election_config_init(&config);
 *     config.project = "billing";
 *     config.redis_urls = "redis://10.0.0.1:6379,redis://10.0.0.2:6379,redis://10.0.0.3:6379";
 *     config.on_start = lead;
 *     if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
 *         fprintf(stderr, "%s\n", words);
 *     }
 *     ...
 *     election_free(election);
 *
 * What holds
 *
 *   - At most one node of a project leads at any moment, however processes are killed, stopped (SIGSTOP), suspended or
 *     cut off, while a minority of the Redis servers is down or restarts empty, as long as clocks run within 1 % of
 *     each other's speed. Protect what must never go wrong with the token besides: a resource that refuses a token
 *     lower than the highest it has seen is safe even where clocks jump.
 *   - A token is greater than that of every leader before, and does not change while the leadership lasts.
 *   - election_is_leader() turns false by itself when the leadership can no longer be proven, also when every other
 *     thread of the library stands still. So does on_start's context.
 *   - on_start and on_stop alternate strictly, never overlap, and get the same token.
 *   - A child made by fork() is never a leader, and does nothing with the handle but election_is_leader() and
 *     election_revision(); everything else is ELECTION_FORKED.
 *   - The library has no global state, installs no signal handler, writes nothing anywhere and never ends the process.
 *     Instances are independent of each other. Running out of memory is an error code, ELECTION_NOMEM.
 *
 * Threads. Every function may be called on any thread, but election_dispatch(), which belongs to the thread of the
 * program's loop. An instance has a thread for its connections (not with ELECTION_LOOP_PROGRAM), one for on_start and
 * on_stop, and one for each host name while it is looked up; all signals are blocked in them.
 *
 * Memory. What a configuration points at is copied by election_run(). What the library passes to callbacks is valid
 * until they return. Names and texts are UTF-8 without control characters, terminated by a zero byte. All descriptors
 * are closed by exec(); two that all instances share stay open after the last one.
 *
 * Time is in milliseconds. Durations count suspended time; points in time are for people, since 1970-01-01T00:00:00Z.
 */
#ifndef ELECTION_H
#define ELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ELECTION_API        __attribute__((visibility("default")))
#define ELECTION_MUST_CHECK __attribute__((warn_unused_result))
#else
#define ELECTION_API
#define ELECTION_MUST_CHECK
#endif

/* --- errors --- */

enum election_error {
    ELECTION_OK = 0,
    ELECTION_CONFIG = 1,      /* a setting is wrong: the words name it and what would be right */
    ELECTION_NOMEM = 2,       /* out of memory */
    ELECTION_SYSTEM = 3,      /* the kernel refuses something (descriptors, threads): the words say what */
    ELECTION_TIMEOUT = 4,     /* the time is over before it happened */
    ELECTION_CALLBACK = 5,    /* not inside a callback of this instance: it would wait for itself */
    ELECTION_CLOSED = 6,      /* the instance is closed */
    ELECTION_NOT_LEADING = 7, /* this node does not lead */
    ELECTION_FORKED = 8,      /* a child of fork() has no part in the election */
    ELECTION_ABANDONED = 9, /* closed, but on_start or on_stop did not return in time; see election_close() */
    ELECTION_INVALID = 10   /* an argument is wrong */
};

/* "out of memory"; never NULL. */
ELECTION_API const char *election_error_text(enum election_error error);

/* Enough for every error in words, with its terminator. */
#define ELECTION_WORDS_BYTES 256

/* --- log --- */

enum election_level { ELECTION_DEBUG = 0, ELECTION_INFO = 1, ELECTION_WARNING = 2, ELECTION_ERROR = 3 };

/* A fact beside a log message. Text from outside is escaped: it can't break a line. */
struct election_field {
    const char *name;
    const char *value;
};

/* A logger that writes lines to standard error; without a logger the library is silent. `user` is not looked at. */
ELECTION_API void election_log_stderr(void *user, enum election_level level, const char *message,
                                      const struct election_field *fields, size_t n);

/* --- configuration --- */

enum election_strategy {
    ELECTION_RACE = 0,    /* who comes first leads until it ends */
    ELECTION_PRIORITY = 1 /* the live node with the lowest number leads: others hand over to it */
};

enum election_redis_mode {
    ELECTION_REDIS_SINGLE = 0,   /* a URL is one server */
    ELECTION_REDIS_SHARDING = 1, /* a URL is a group of servers that share the keys: ...?addr=host2:port2 */
    ELECTION_REDIS_CLUSTER = 2   /* a URL names seeds of a Redis Cluster */
};

enum election_redis_layout {
    ELECTION_REDIS_FLAT = 0, /* lease at prefix/project */
    ELECTION_REDIS_KIND = 1  /* lease at prefix/lease/default/project */
};

enum election_loop {
    ELECTION_LOOP_THREAD = 0, /* a thread of the library */
    ELECTION_LOOP_PROGRAM = 1 /* the program's loop: election_fd() and election_dispatch() */
};

struct election;
struct election_context;

/* A change of leader, as this node sees it. */
struct election_change {
    const char *leader;   /* empty: nobody leads now */
    const char *previous; /* empty: nobody that was known */
    uint64_t token;       /* of leader; 0: nobody, or not known */
    bool self;            /* leader is this node */
};

/*
 * Begin with election_config_init(): every field that stays 0 or NULL has its default. The struct may grow at its end;
 * `size` says which one the program was built with.
 */
struct election_config {
    size_t size; /* set by election_config_init() */

    const char *project;   /* required: the election's name; 1 to 200 bytes */
    const char *node_id;   /* default: the host name. Two nodes must never have the same; 1 to 253 bytes */
    int32_t node_priority; /* 1 (default) to 1000000; lower is more wanted */
    enum election_strategy strategy; /* default ELECTION_RACE; the same on all nodes */

    /* An odd number of independent Redis servers, at most 15, separated by commas; a majority decides. One is allowed,
     * and is a single point of failure. redis://user:password@host:port/db, rediss:// for TLS. */
    const char *redis_urls;
    enum election_redis_mode redis_mode;
    enum election_redis_layout redis_layout;
    const char *redis_prefix;   /* of all keys; default: project */
    bool redis_allow_eviction;  /* also use servers that may evict keys: unsafe */
    const char *redis_tls_ca;   /* PEM file of who signs the servers' certificates; default: the system's */
    const char *redis_tls_cert; /* PEM file of our certificate; with redis_tls_key */
    const char *redis_tls_key;  /* PEM file */
    const char *redis_tls_server_name; /* expected in the certificates; default: the host of the URL */

    const char *agent; /* leadership through an agent: reserved, must be NULL in this version */

    int64_t lease_ttl_ms; /* 100 to 3600000, default 3000: within so long a dead leader is replaced */
    int64_t max_drift_ms; /* default lease_ttl_ms / 2, at most 9/10 of it: so long without a renewal, and the
                                   leader steps down */
    int64_t
        tick_interval_ms; /* at least 10 and at most max_drift_ms / 2; default 500 or max_drift_ms / 3, whichever
                                   is less. A tick is up to 20 % shorter or longer, by chance */
    int64_t fail_back_delay_ms; /* priority: a better node must have been alive that long; default 0 */
    int64_t min_tenure_ms;      /* priority: a leader hands over only after it has led that long; default 0 */
    int64_t close_timeout_ms;   /* so long election_close() waits for on_start; default 5000 */

    enum election_loop loop;

    /*
     * This node became leader. Called on a thread of its own; work until election_context_is_over(), then return. The
     * node stays leader after a return of 0 (for work that goes on elsewhere); any other value makes it step down at
     * once, and stand again after a tick. Required.
     *
     * While on_start does not return the node can't stand again. After the context's end the lease is kept for up to
     * lease_ttl_ms (if it is ours to keep), so that no other node begins while the work still ends.
     */
    int (*on_start)(void *user, struct election_context *context);
    /* The leadership `token` is over, and on_start has returned. Same thread. It has 1 s: then the leadership is given
     * away without waiting for it, which is logged; this node does not stand before it has returned. NULL: nothing to
     * do. */
    void (*on_stop)(void *user, uint64_t token);
    /* The leader changed, also to and from nobody. On the loop's thread: be quick. NULL: not wanted. */
    void (*on_change)(void *user, const struct election_change *change);
    /* On any thread of the library, or inside its functions; one call at a time. NULL: silent. */
    void (*logger)(void *user, enum election_level level, const char *message,
                   const struct election_field *fields, size_t n);
    enum election_level log_level; /* lesser levels are not told; 0 is ELECTION_DEBUG */
    void *user;                    /* passed to all callbacks */
};

static inline void election_config_init(struct election_config *config)
{
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
    config->log_level = ELECTION_INFO;
}

/* --- life --- */

/*
 * Checks the configuration and begins to stand for election, in the background; it does not wait for a server to
 * answer. Every signal is blocked in the threads it makes. *out is set before the first callback.
 *
 * ELECTION_CONFIG, ELECTION_NOMEM, ELECTION_SYSTEM: *out is NULL, and `words` (may be NULL with 0) says why.
 * ELECTION_INVALID: out or config is NULL.
 */
ELECTION_API enum election_error election_run(struct election **out, const struct election_config *config,
                                              char *words, size_t words_bytes) ELECTION_MUST_CHECK;

/*
 * Ends taking part: ends on_start's context, waits for on_start and on_stop, gives the leadership up, so that another
 * node leads within a tick, and closes the connections. Safe to call again, also at the same time on another thread:
 * the result is the same, and every call returns only when it is done. The handle stays, until election_free().
 *
 * ELECTION_CALLBACK inside a callback of this instance: nothing happens. (A callback that has to end it tells another
 * thread.) ELECTION_ABANDONED: on_start did not return within close_timeout_ms, or on_stop not within 1 s; their thread
 * goes on, with memory of its own, and ends when they return; a lease that on_start may still rely on lapses by itself.
 */
ELECTION_API enum election_error election_close(struct election *election);

/* Closes, if that was not done, and frees the handle, which nobody may use at the same time. NULL is ELECTION_OK. In a
 * callback ELECTION_CALLBACK: nothing is freed. */
ELECTION_API enum election_error election_free(struct election *election);

/* --- who leads --- */

/* True only while no other node can lead: now < start of the last renewal + lease_ttl - allowance for drift. A few
 * nanoseconds, no lock. NULL, closed, in a child of fork(): false. */
ELECTION_API bool election_is_leader(const struct election *election);

/* The token of this node's leadership, 0 while election_is_leader() is false. The same cost. */
ELECTION_API uint64_t election_revision(const struct election *election);

/*
 * Gives leadership up at once: as election_close(), but the node stays a candidate and stands again after lease_ttl_ms,
 * so that another comes first. Does not wait: see election_wait(). Allowed inside callbacks. ELECTION_NOT_LEADING,
 * ELECTION_CLOSED, ELECTION_FORKED.
 */
ELECTION_API enum election_error election_step_down(struct election *election);

enum election_until {
    ELECTION_UNTIL_LEADING = 0,     /* election_is_leader() */
    ELECTION_UNTIL_NOT_LEADING = 1, /* !election_is_leader() */
    ELECTION_UNTIL_CLOSED = 2       /* election_close() is done: for a main thread with nothing else to do */
};

/* Waits for it, at most timeout_ms; negative: without end. ELECTION_TIMEOUT; ELECTION_CLOSED when it is closed while
 * something else is waited for; ELECTION_CALLBACK inside on_change and logger, and, where nothing but the end of the
 * callback would bring it, inside on_start and on_stop; ELECTION_FORKED. With ELECTION_LOOP_PROGRAM not on the loop's
 * thread: nobody would dispatch. */
ELECTION_API enum election_error election_wait(struct election *election, enum election_until until,
                                               int64_t timeout_ms);

/* --- on_start's context: valid until on_start returns --- */

/* The fencing token of this leadership: pass it along with every write that must not come from a former leader. */
ELECTION_API uint64_t election_context_token(const struct election_context *context);

/* Whether the leadership is over. No lock. */
ELECTION_API bool election_context_is_over(const struct election_context *context);

/* What is left of the proven leadership; grows again with each renewal; 0 when it is over. No lock. */
ELECTION_API int64_t election_context_left_ms(const struct election_context *context);

/* Waits until it is over: ELECTION_OK, or ELECTION_TIMEOUT after timeout_ms (negative: no time-out). */
ELECTION_API enum election_error election_context_wait(struct election_context *context, int64_t timeout_ms);

/* Readable (POLLIN) when it is over, for a loop of on_start's own. Neither read nor close it. */
ELECTION_API int election_context_fd(const struct election_context *context);

/* --- the program's loop (ELECTION_LOOP_PROGRAM) --- */

/* Readable (POLLIN) when election_dispatch() should be called; the same for the whole life. -1 with a loop thread. */
ELECTION_API int election_fd(const struct election *election);

/* Does what is due and does not wait. Call it once right after election_run(), and then whenever the fd is readable:
 * late calls cost leadership, since renewals are sent here. ELECTION_CALLBACK inside a callback of the loop;
 * ELECTION_INVALID with a loop thread; ELECTION_CLOSED; ELECTION_FORKED. */
ELECTION_API enum election_error election_dispatch(struct election *election);

/* --- what is shown --- */

#define ELECTION_NAME_BYTES  254 /* of a node or a project, with its terminator */
#define ELECTION_NODES_MAX   64  /* of more than that, the most wanted are known */
#define ELECTION_ENTRIES_MAX 100

enum election_state {
    ELECTION_FOLLOWING = 0, /* another leads, or nobody, or no majority of servers answers */
    ELECTION_STANDING = 1,  /* asking for it */
    ELECTION_LEADING = 2,
    ELECTION_STOPPING = 3, /* it is over, on_start or on_stop still run */
    ELECTION_GIVING = 4,   /* resigning or handing over */
    ELECTION_OVER = 5      /* closed */
};

ELECTION_API const char *election_state_text(enum election_state state); /* "following" */

/* A node that is alive: it stands for election or leads. */
struct election_node {
    char node_id[ELECTION_NAME_BYTES];
    int32_t priority;
    bool leading;
    bool self;
    int64_t last_seen_ms; /* point in time */
};

enum election_act {
    ELECTION_ACT_ELECTED = 0,      /* node leads */
    ELECTION_ACT_HANDED_OVER = 1,  /* to node, by this one */
    ELECTION_ACT_RESIGNED = 2,     /* node gave it up, or let it lapse when it stopped */
    ELECTION_ACT_LOST = 3,         /* node leads no more: it expired, or another took it */
    ELECTION_ACT_STEPPED_DOWN = 4, /* node (this one) begins to stop: asked to, or max_drift is over */
    ELECTION_ACT_START_FAILED = 5, /* on_start returned another value than 0 */
    ELECTION_ACT_STOP_LATE = 6,    /* on_stop was abandoned after 1 s */
    ELECTION_ACT_JOINED = 7,       /* node is alive */
    ELECTION_ACT_LEFT = 8          /* node is not seen any more */
};

ELECTION_API const char *election_act_text(enum election_act act); /* "elected" */

struct election_entry {
    int64_t time_ms;
    uint64_t token; /* 0: not known, or none */
    enum election_act act;
    char node_id[ELECTION_NAME_BYTES];
};

/* About 45 KiB: not for small stacks. Set `size` to sizeof(struct election_stats) before the call. */
struct election_stats {
    size_t size;
    char project[ELECTION_NAME_BYTES];
    char leader[ELECTION_NAME_BYTES]; /* as this node knows; empty: nobody */
    uint64_t leader_token;            /* 0: nobody, or not known */
    bool is_leader;                   /* this node, now */
    uint64_t revision;                /* election_revision() */
    enum election_state state;
    int64_t renewed_ms;  /* this node's last renewal, point in time; 0: none */
    bool store_up;       /* a majority of the servers answers */
    char store_why[160]; /* if not: why */
    size_t n_nodes;      /* by priority, then by name */
    struct election_node nodes[ELECTION_NODES_MAX];
    size_t n_entries; /* oldest first */
    struct election_entry entries[ELECTION_ENTRIES_MAX];
};

/* This node as others see it. ELECTION_INVALID: NULL. Works after election_close(), too. */
ELECTION_API enum election_error election_node_info(struct election *election, struct election_node *out);

/* In C++ the struct is told from the function of its name by the word struct. */
#if defined(__GNUC__) && defined(__cplusplus)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
ELECTION_API enum election_error election_stats(struct election *election, struct election_stats *out);
#if defined(__GNUC__) && defined(__cplusplus)
#pragma GCC diagnostic pop
#endif

/*
 * The same for people, as a short HTML text of the few tags that chat messages allow (<b>, <i>, <code>); lines end in
 * \n. Every value is escaped. Writes at most `bytes` with the terminator, never half a line, and returns the length
 * that was written. ELECTION_FORMAT_BYTES always suffice; who reads it sees less than 2500 characters, however the nodes
 * are called: what is longest is escaping.
 */
#define ELECTION_FORMAT_BYTES 10240
ELECTION_API size_t election_format_stats(struct election *election, char *out, size_t bytes);

/* "0.1.0": of the library that runs, not of this header. */
ELECTION_API const char *election_version(void);

#ifdef __cplusplus
}
#endif

#endif
