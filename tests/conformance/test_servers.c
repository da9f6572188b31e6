/* What a store asks of the servers beside it. */
#include <stdio.h>

#include "base/mem.h"
#include "bench.h"

#define ELECTIONS   40
#define FORGOTTEN_S 100 /* no election was used for so long */
#define WATCHED_S   10

static void pass_s(struct bench *bench, int seconds, int step_s)
{
    for (int i = 0; i < seconds; i += step_s) {
        bench_advance_ms(bench, step_s * INT64_C(1000));
    }
}

static void use(struct bench *bench)
{
    for (int i = 0; i < ELECTIONS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "e%d", i);
        struct answer won = bench_campaign(bench, name, "A", 1000);
        expect_elected(&won, "A");
        struct answer get = bench_get(bench, name);
        expect_leader(&get, EA_OK, "A", won.tenure.token);
    }
}

/* Every lane looks at every server it speaks to, and at no election. */
static void elections_that_nobody_uses_ask_nothing_of_the_servers(void **state)
{
    struct bench *b = *state;
    for (int again = 0; again < 2; again++) {
        use(b);
        pass_s(b, FORGOTTEN_S, 5);
        uint64_t before = servers_calls(b->servers, "eval"); /* of looks at nodes */
        pass_s(b, WATCHED_S, 1);
        uint64_t calls = servers_calls(b->servers, "eval") - before;
        const struct servers_plan *plan = b->row->plan;
        assert_in_range(calls, 1, 2U * WATCHED_S * plan->nodes * plan->each * b->lanes);
    }
}

struct suite suite_servers(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(elections_that_nobody_uses_ask_nothing_of_the_servers),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
