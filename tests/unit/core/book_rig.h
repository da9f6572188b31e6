/* What the book's tests share: a book on a fake clock, whose hooks write down what they are told. */
#ifndef EA_TESTS_BOOK_RIG_H
#define EA_TESTS_BOOK_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "core/book.h"

#define TERM_MS INT64_C(10000)

struct told {
    char text[4096];
    size_t n;
};

struct bench {
    struct clock_fake clock;
    struct book *book;
    struct arena arena;
    struct election_request request;
    struct book_outcome outcome;
    struct told told; /* what the hooks were called with, a line each */
};

void tell(struct told *told, const char *format, ...) __attribute__((format(printf, 2, 3)));

void bench_init(struct bench *b, size_t vacant_kept, uint64_t first_token);
void bench_fini(struct bench *b); /* checks the structures once more */

/* For cmocka: *state is a bench. */
int set_up(void **state);
int tear_down(void **state);

/* Asks, with defaults for what is empty: kind default, election e, term TERM_MS. */
struct election_request *decide(struct bench *b, struct election_request request);
struct election_request *campaign(struct bench *b, const char *who);
struct election_request *op(struct bench *b, enum election_op operation, const char *who);
void advance_ms(struct bench *b, int64_t ms);

struct book_record record_of(const char *election, const char *leader, uint64_t token);

#define assert_leads(b, name, tok)                              \
    do {                                                        \
        struct election_request *got_ = op((b), OP_GET, "");    \
        assert_int_equal(got_->err, EA_OK);                     \
        assert_true(str_eq(got_->tenure.leader, str_of(name))); \
        assert_true((tok) == 0 || got_->tenure.token == (tok)); \
    } while (0)

#define assert_nobody_leads(b) assert_int_equal(op((b), OP_GET, "")->err, EA_NOT_FOUND)

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
