/*
 * The rules behind one face, so that a simulation runs with the book (core/book.c) or with the ledger
 * (store/memory/ledger.c). Besides deciding, a decider says what a restart would need: the ledger by
 * comparing its tenures before and after, the book by its hooks (and then the two ways are compared).
 */
#ifndef EA_SIM_DECIDER_H
#define EA_SIM_DECIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "core/book.h"
#include "core/event.h"
#include "core/names.h"
#include "core/request.h"

enum decider_rules { RULES_LEDGER, RULES_BOOK };

/* A record with its words. */
struct sim_record {
    char kind[KIND_BYTES_MAX + 1];
    char election[NAME_BYTES_MAX + 1];
    char leader[NAME_BYTES_MAX + 1];
    uint64_t token;
    int32_t term_ms;
    struct wall elected_at;
};

struct sim_records {
    struct sim_record *at;
    size_t n;
};

void sim_record_set(struct sim_record *out, const struct book_record *record);
struct book_record sim_record_get(const struct sim_record *record);
void sim_records_put(struct sim_records *records, const struct sim_record *record);
bool sim_records_drop(struct sim_records *records, const struct sim_record *record);
const struct sim_record *sim_records_find(const struct sim_records *records, const char *kind,
                                          const char *election);
bool sim_records_equal(const struct sim_records *a, const struct sim_records *b);
void sim_records_fini(struct sim_records *records);

struct decider_options {
    enum decider_rules rules;
    struct mono now;
    uint64_t seed;
    uint64_t first_token;
    size_t vacant_kept;
    void (*event)(void *arg, const struct election_event *event);
    /* A tenure to be kept, or (`drop`) to be forgotten: only kind and election count then. */
    void (*write)(void *arg, bool drop, const struct sim_record *record);
    void *arg;
};

struct decider;

struct decider *decider_new(const struct decider_options *options);
void decider_free(struct decider *decider);
void decider_decide(struct decider *decider, struct mono now, struct wall wall,
                    struct election_request *request);
void decider_expire(struct decider *decider, struct mono now, struct wall wall);
bool decider_restore(struct decider *decider, struct mono now, const struct sim_record *record);

/* A store that cannot write: book_freeze() and book_withdraw(). The ledger has neither. */
bool decider_can_freeze(const struct decider *decider);
void decider_freeze(struct decider *decider, const char *why);
void decider_withdraw(struct decider *decider, struct mono now, struct wall wall,
                      const struct sim_record *record);

/* When decider_expire() is due: the book knows; the ledger has no timer, so `poll` from now. */
struct mono decider_next(const struct decider *decider, struct mono poll);

/* The tenures that are there; the caller frees. */
void decider_records(const struct decider *decider, struct sim_records *out);

/* Asserts structure, and that what was written adds up to what is there. False: it does not. */
bool decider_check(const struct decider *decider, struct mono now);

#endif
