/* What the versions share: sniffing, age, drain, counts, the date. */
#include "h1_fixture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "http/conn.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* A SETTINGS frame without settings, and the acknowledgement of the server's. */
static const char settings[] = "\0\0\0\4\0\0\0\0\0";

static uint64_t open_now(struct fixture *f, int version, int tls)
{
    return atomic_load(&http_server_counts(f->server)->connections[version - 1][tls]);
}

static void the_preface_makes_http_2(void **state)
{
    struct one *one = *state;
    client_send(&one->client, STR(PREFACE));
    client_send(&one->client, str_from(settings, 9));
    fixture_settle(&one->f);
    assert_int_equal(open_now(&one->f, 2, 0), 1);
    assert_int_equal(open_now(&one->f, 1, 0), 0);
    /* The server's own SETTINGS come first (RFC 9113, 3.4). */
    assert_true(one->client.got.n >= 9);
    assert_int_equal(one->client.got.p[3], 4);
}

static void the_preface_may_come_byte_by_byte(void **state)
{
    struct one *one = *state;
    for (size_t i = 0; i < sizeof PREFACE - 1; i++) {
        assert_int_equal(open_now(&one->f, 2, 0), 0);
        client_send(&one->client, str_from(&PREFACE[i], 1));
        fixture_settle(&one->f);
    }
    client_send(&one->client, str_from(settings, 9));
    fixture_settle(&one->f);
    assert_int_equal(open_now(&one->f, 2, 0), 1);
    assert_true(one->client.got.n >= 9);
    assert_false(one->client.closed);
}

static void what_only_begins_like_the_preface_is_http_1(void **state)
{
    struct one *one = *state;
    say(one, "P");
    assert_int_equal(open_now(&one->f, 1, 0) + open_now(&one->f, 2, 0), 0);
    say(one, "U");
    assert_int_equal(open_now(&one->f, 1, 0), 1);
    say(one, "T /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(body_of(client_take(&one->client)), SAID("PUT", ""));
}

static void a_broken_preface_is_answered_in_http_1(void **state)
{
    struct one *one = *state;
    say(one, "PRI * HTTP/2.0\r\n\r\nSM\r");
    say(one, "X");
    assert_memory_equal(client_take(&one->client), "HTTP/1.1 505 ", 13);
    assert_true(one->client.closed);
}

static void alpn_decides_over_tls(void **state)
{
    (void)state;
    struct fixture f;
    struct client one;
    struct client two;
    struct client none;
    fixture_init(&f, NULL);
    client_open_tls(&f, &two, "h2");
    client_send(&two, STR("P")); /* known before the preface is */
    fixture_settle(&f);
    assert_int_equal(open_now(&f, 2, 1), 1);
    client_open_tls(&f, &one, "http/1.1");
    client_send(&one, STR(PREFACE));
    fixture_settle(&f);
    assert_memory_equal(client_take(&one), "HTTP/1.1 505 ", 13);
    client_open_tls(&f, &none, NULL);
    client_send(&none, STR(GET("")));
    fixture_settle(&f);
    assert_string_equal(body_of(client_take(&none)), SAID("GET", "") " secure");
    assert_int_equal(open_now(&f, 1, 1), 1);
    client_fini(&f, &one);
    client_fini(&f, &two);
    client_fini(&f, &none);
    fixture_fini(&f);
}

static void who_says_nothing_for_2_s_is_closed(void **state)
{
    struct one *one = *state;
    fixture_advance_ms(&one->f, 1999);
    assert_false(one->client.closed);
    fixture_advance_ms(&one->f, 2);
    assert_true(one->client.closed);
    assert_int_equal(one->f.refused, 1);
    assert_int_equal(one->f.last_refused, 0);
}

static void who_stops_within_the_preface_is_closed(void **state)
{
    struct one *one = *state;
    say(one, "PRI *");
    fixture_advance_ms(&one->f, 2001);
    assert_true(one->client.closed);
    assert_string_equal(client_take(&one->client), "");
}

static void who_leaves_at_once_breaks_no_rule(void **state)
{
    struct one *one = *state;
    stream_close(one->client.stream);
    fixture_settle(&one->f);
    assert_true(one->client.closed);
    assert_int_equal(one->f.refused, 0);
}

static void who_leaves_within_the_preface_is_told_in_http_1(void **state)
{
    struct one *one = *state;
    say(one, "P");
    stream_close(one->client.stream);
    fixture_settle(&one->f);
    assert_true(one->client.closed);
    assert_int_equal(one->f.last_refused, 400);
}

static void connections_that_said_nothing_are_counted_too(void **state)
{
    struct one *one = *state;
    fixture_settle(&one->f);
    const struct http_counts *counts = http_server_counts(one->f.server);
    assert_int_equal(atomic_load(&counts->undecided), 1);
    fixture_advance_ms(&one->f, 2001);
    assert_int_equal(atomic_load(&counts->undecided), 0);
}

static void connections_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    struct client clients[3];
    fixture_init(&f, NULL);
    for (int i = 0; i < 3; i++) {
        client_open(&f, &clients[i], NULL);
        client_send(&clients[i], i < 2 ? STR(GET("")) : STR(PREFACE));
    }
    fixture_settle(&f);
    assert_int_equal(atomic_load(&http_server_counts(f.server)->accepted), 3);
    assert_int_equal(atomic_load(&http_server_counts(f.server)->undecided), 0);
    assert_int_equal(open_now(&f, 1, 0), 2);
    assert_int_equal(open_now(&f, 2, 0), 1);
    client_fini(&f, &clients[1]); /* from the middle of the list */
    assert_int_equal(open_now(&f, 1, 0), 1);
    client_send(&clients[0], STR("bad\r\n\r\n"));
    fixture_settle(&f);
    assert_int_equal(atomic_load(&http_server_counts(f.server)->refused), 1);
    client_fini(&f, &clients[0]);
    client_fini(&f, &clients[2]);
    assert_int_equal(open_now(&f, 1, 0) + open_now(&f, 2, 0), 0);
    fixture_fini(&f);
}

/* --- age --- */

/* Asks every second until the server says that it closes; returns the second, or 0. */
static int ages_after_s(struct one *one, int at_most)
{
    for (int s = 1; s <= at_most && one->client.stream != NULL; s++) {
        fixture_advance_ms(&one->f, 1000);
        say(one, GET(""));
        if (strstr(client_take(&one->client), "connection: close") != NULL) {
            return s;
        }
    }
    return 0;
}

static void an_old_connection_says_so_in_an_answer(void **state)
{
    struct one *one = *state;
    int s = ages_after_s(one, 400);
    assert_in_range(s, 270, 331);
    assert_true(one->client.closed);
    assert_int_equal(one->client.why, EA_OK);
}

static void connections_that_came_together_do_not_age_together(void **state)
{
    (void)state;
    int earliest = 1000;
    int latest = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct one *one;
        one_setup((void **)&one);
        rng_seed(loop_rng(one->f.loop), seed);
        int s = ages_after_s(one, 400);
        earliest = s < earliest ? s : earliest;
        latest = s > latest ? s : latest;
        one_teardown((void **)&one);
    }
    assert_in_range(earliest, 270, 331);
    assert_true(latest > earliest);
}

static void an_answer_without_end_is_cut_when_the_grace_is_over(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    exchange_start(one->f.held, 200, NULL, 0);
    fixture_advance_ms(&one->f, 299000);
    assert_int_equal(one->f.gone, 0);
    fixture_advance_ms(&one->f, 62000);
    assert_int_equal(one->f.gone, 1);
    assert_true(one->client.closed);
}

/* --- drain --- */

static void drained(void *user)
{
    struct fixture *f = user;
    f->drained++;
}

static void start_drain(struct one *one, int64_t ms)
{
    http_server_drain(one->f.server, mono_add_ms(loop_now(one->f.loop), ms), drained, &one->f);
    fixture_settle(&one->f);
}

static void a_drain_of_nobody_is_over_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, NULL);
    http_server_drain(f.server, MONO_NEVER, drained, &f);
    assert_int_equal(f.drained, 0); /* never inside the call */
    fixture_settle(&f);
    assert_int_equal(f.drained, 1);
    fixture_fini(&f);
}

static void a_drain_closes_idle_connections(void **state)
{
    struct one *one = *state;
    say(one, GET(""));
    start_drain(one, 10000);
    assert_true(one->client.closed);
    assert_int_equal(one->client.why, EA_OK);
    assert_int_equal(one->f.drained, 1);
}

static void a_drain_closes_those_that_have_said_nothing(void **state)
{
    struct one *one = *state;
    fixture_settle(&one->f);
    start_drain(one, 10000);
    assert_int_equal(one->f.drained, 1);
}

static void a_drain_lets_requests_finish_and_takes_no_more(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" GET(""));
    start_drain(one, 10000);
    fixture_advance_ms(&one->f, 5000);
    assert_false(one->client.closed);
    assert_int_equal(one->f.drained, 0);
    exchange_answer(one->f.held, 200, NULL, 0, STR("bye"));
    fixture_settle(&one->f);
    assert_string_equal(client_take(&one->client),
                        "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:05 GMT\r\n"
                        "content-length: 3\r\nconnection: close\r\n\r\nbye");
    assert_int_equal(one->f.requests, 1);
    assert_true(one->client.closed);
    assert_int_equal(one->f.drained, 0); /* the exchange is still held */
    exchange_release(one->f.held);
    fixture_settle(&one->f);
    assert_int_equal(one->f.drained, 1);
}

static void a_drain_ends_at_its_deadline(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    start_drain(one, 10000);
    fixture_advance_ms(&one->f, 9999);
    assert_int_equal(one->f.gone, 0);
    fixture_advance_ms(&one->f, 2);
    assert_int_equal(one->f.gone, 1);
    assert_true(one->client.closed);
    assert_int_equal(one->f.drained, 1);
}

static void a_draining_server_takes_nobody(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    start_drain(one, 10000);
    struct client late;
    client_open(&one->f, &late, NULL);
    client_send(&late, STR(GET("")));
    fixture_settle(&one->f);
    assert_true(late.closed);
    assert_int_equal(late.got.n, 0);
    client_fini(&one->f, &late);
    fixture_advance_ms(&one->f, 10001);
    assert_int_equal(one->f.drained, 1);
}

/* --- the rest --- */

static void limits_can_change_while_running(void **state)
{
    struct one *one = *state;
    struct http_limits limits = http_limits_default;
    say(one, GET(""));
    limits.request_line_bytes = 17;
    http_server_set_limits(one->f.server, &limits);
    client_take(&one->client);
    say(one, GET(""));
    assert_string_equal(client_take(&one->client),
                        refusal(414, "URI Too Long", "the request line is longer than 17 bytes"));
}

static void the_date_is_that_of_the_wall_clock(void **state)
{
    struct one *one = *state;
    struct http_server *server = one->f.server;
    assert_true(str_eq(http_server_date(server), STR(TEST_DATE)));
    fixture_advance_ms(&one->f, 1001);
    assert_true(str_eq(http_server_date(server), STR("Thu, 01 Jan 2026 00:00:01 GMT")));
    one->f.clock.wall.us = 951868799 * INT64_C(1000000); /* the leap day of 2000 */
    fixture_advance_ms(&one->f, 0);
    loop_step(one->f.loop);
    assert_true(str_eq(http_server_date(server), STR("Tue, 29 Feb 2000 23:59:59 GMT")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(the_preface_makes_http_2),
        ONE(the_preface_may_come_byte_by_byte),
        ONE(what_only_begins_like_the_preface_is_http_1),
        ONE(a_broken_preface_is_answered_in_http_1),
        cmocka_unit_test(alpn_decides_over_tls),
        ONE(who_says_nothing_for_2_s_is_closed),
        ONE(connections_that_said_nothing_are_counted_too),
        ONE(who_stops_within_the_preface_is_closed),
        ONE(who_leaves_at_once_breaks_no_rule),
        ONE(who_leaves_within_the_preface_is_told_in_http_1),
        cmocka_unit_test(connections_are_counted),
        ONE(an_old_connection_says_so_in_an_answer),
        cmocka_unit_test(connections_that_came_together_do_not_age_together),
        ONE(an_answer_without_end_is_cut_when_the_grace_is_over),
        cmocka_unit_test(a_drain_of_nobody_is_over_at_once),
        ONE(a_drain_closes_idle_connections),
        ONE(a_drain_closes_those_that_have_said_nothing),
        ONE(a_drain_lets_requests_finish_and_takes_no_more),
        ONE(a_drain_ends_at_its_deadline),
        ONE(a_draining_server_takes_nobody),
        ONE(limits_can_change_while_running),
        ONE(the_date_is_that_of_the_wall_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
