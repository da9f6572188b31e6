/* The rules behind one face: see decider.h. */
#include "decider.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "store/memory/ledger.h"

#define EXPIRE_MOST 3 /* little, so that a book's sweep is cut often */

struct decider {
    struct decider_options options;
    struct book *book;
    struct ledger *ledger;
    struct sim_records kept; /* what the writes add up to */
};

/* --- records --- */

static void set_words(char *out, size_t cap, struct str s)
{
    assert(s.n < cap);
    if (s.n > 0) {
        memcpy(out, s.p, s.n);
    }
    out[s.n] = '\0';
}

void sim_record_set(struct sim_record *out, const struct book_record *record)
{
    set_words(out->kind, sizeof out->kind, record->kind);
    set_words(out->election, sizeof out->election, record->election);
    set_words(out->leader, sizeof out->leader, record->leader);
    out->token = record->token;
    out->term_ms = record->term_ms;
    out->elected_at = record->elected_at;
}

struct book_record sim_record_get(const struct sim_record *record)
{
    return (struct book_record){str_of(record->kind), str_of(record->election), str_of(record->leader),
                                record->token,        record->term_ms,          record->elected_at};
}

const struct sim_record *sim_records_find(const struct sim_records *records, const char *kind,
                                          const char *election)
{
    for (size_t i = 0; i < records->n; i++) {
        if (strcmp(records->at[i].kind, kind) == 0 && strcmp(records->at[i].election, election) == 0) {
            return &records->at[i];
        }
    }
    return NULL;
}

bool sim_records_drop(struct sim_records *records, const struct sim_record *record)
{
    const struct sim_record *found = sim_records_find(records, record->kind, record->election);
    if (found == NULL) {
        return false;
    }
    size_t i = (size_t)(found - records->at);
    records->at[i] = records->at[--records->n];
    return true;
}

void sim_records_put(struct sim_records *records, const struct sim_record *record)
{
    (void)sim_records_drop(records, record);
    records->at = mem_realloc(records->at, (records->n + 1) * sizeof records->at[0]);
    records->at[records->n++] = *record;
}

static bool record_equal(const struct sim_record *a, const struct sim_record *b)
{
    return strcmp(a->leader, b->leader) == 0 && a->token == b->token && a->term_ms == b->term_ms &&
           a->elected_at.us == b->elected_at.us;
}

bool sim_records_equal(const struct sim_records *a, const struct sim_records *b)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct sim_record *other = sim_records_find(b, a->at[i].kind, a->at[i].election);
        if (other == NULL || !record_equal(&a->at[i], other)) {
            return false;
        }
    }
    return a->n == b->n;
}

void sim_records_fini(struct sim_records *records)
{
    mem_free(records->at);
    *records = (struct sim_records){0};
}

static void add_record(void *arg, const struct book_record *record)
{
    struct sim_record copy;
    sim_record_set(&copy, record);
    sim_records_put(arg, &copy);
}

void decider_records(const struct decider *decider, struct sim_records *out)
{
    *out = (struct sim_records){0};
    if (decider->book != NULL) {
        book_each(decider->book, add_record, out);
    } else {
        ledger_each(decider->ledger, add_record, out);
    }
}

/* --- writes --- */

static void write_record(struct decider *decider, bool drop, const struct sim_record *record)
{
    if (drop) {
        (void)sim_records_drop(&decider->kept, record);
    } else {
        sim_records_put(&decider->kept, record);
    }
    if (decider->options.write != NULL) {
        decider->options.write(decider->options.arg, drop, record);
    }
}

static void book_keeps(void *arg, const struct book_record *record)
{
    struct sim_record copy;
    sim_record_set(&copy, record);
    write_record(arg, false, &copy);
}

static void book_drops(void *arg, struct str kind, struct str election, bool answered)
{
    struct sim_record copy;
    sim_record_set(&copy, &(struct book_record){.kind = kind, .election = election});
    write_record(arg, true, &copy);
}

/* The ledger has no hooks: what differs from what was kept is written. */
static void write_difference(struct decider *decider)
{
    struct sim_records present;
    struct sim_records before = {0};
    decider_records(decider, &present);
    for (size_t i = 0; i < decider->kept.n; i++) {
        sim_records_put(&before, &decider->kept.at[i]);
    }
    for (size_t i = 0; i < before.n; i++) {
        if (sim_records_find(&present, before.at[i].kind, before.at[i].election) == NULL) {
            write_record(decider, true, &before.at[i]);
        }
    }
    for (size_t i = 0; i < present.n; i++) {
        const struct sim_record *old = sim_records_find(&before, present.at[i].kind, present.at[i].election);
        if (old == NULL || !record_equal(old, &present.at[i])) {
            write_record(decider, false, &present.at[i]);
        }
    }
    sim_records_fini(&before);
    sim_records_fini(&present);
}

/* --- the face --- */

static void pass_event(void *arg, const struct election_event *event)
{
    struct decider *decider = arg;
    if (decider->options.event != NULL) {
        decider->options.event(decider->options.arg, event);
    }
}

struct decider *decider_new(const struct decider_options *options)
{
    struct decider *decider = mem_zalloc(sizeof *decider);
    decider->options = *options;
    if (options->rules == RULES_BOOK) {
        decider->book = book_new(&(struct book_options){
            .now = options->now,
            .seed = options->seed,
            .first_token = options->first_token,
            .vacant_kept = options->vacant_kept,
            .hooks = {.keep = book_keeps, .drop = book_drops, .event = pass_event, .arg = decider},
        });
    } else {
        decider->ledger = ledger_new(&(struct ledger_options){.first_token = options->first_token,
                                                              .vacant_kept = options->vacant_kept,
                                                              .event = pass_event,
                                                              .arg = decider});
    }
    return decider;
}

void decider_free(struct decider *decider)
{
    if (decider->book != NULL) {
        book_free(decider->book);
    } else {
        ledger_free(decider->ledger);
    }
    sim_records_fini(&decider->kept);
    mem_free(decider);
}

void decider_decide(struct decider *decider, struct mono now, struct wall wall,
                    struct election_request *request)
{
    if (decider->book != NULL) {
        struct book_outcome outcome = {0};
        book_decide(decider->book, now, wall, request, &outcome);
    } else {
        ledger_decide(decider->ledger, now, wall, request);
        write_difference(decider);
    }
}

void decider_expire(struct decider *decider, struct mono now, struct wall wall)
{
    if (decider->book != NULL) {
        while (book_expire(decider->book, now, wall, EXPIRE_MOST)) {
        }
    } else {
        ledger_sweep(decider->ledger, now, wall);
        write_difference(decider);
    }
}

bool decider_restore(struct decider *decider, struct mono now, const struct sim_record *record)
{
    struct book_record restored = sim_record_get(record);
    sim_records_put(&decider->kept, record);
    return decider->book != NULL ? book_restore(decider->book, now, &restored)
                                 : ledger_restore(decider->ledger, now, &restored);
}

bool decider_can_freeze(const struct decider *decider)
{
    return decider->book != NULL;
}

void decider_freeze(struct decider *decider, const char *why)
{
    book_freeze(decider->book, why);
}

void decider_withdraw(struct decider *decider, struct mono now, struct wall wall,
                      const struct sim_record *record)
{
    (void)book_withdraw(decider->book, now, wall, str_of(record->kind), str_of(record->election),
                        record->token);
}

struct mono decider_next(const struct decider *decider, struct mono poll)
{
    return decider->book != NULL ? book_next(decider->book) : poll;
}

bool decider_check(const struct decider *decider, struct mono now)
{
    struct sim_records present;
    if (decider->book != NULL) {
        book_check(decider->book);
    } else {
        ledger_check(decider->ledger, now);
    }
    decider_records(decider, &present);
    bool equal = sim_records_equal(&present, &decider->kept);
    sim_records_fini(&present);
    return equal;
}
