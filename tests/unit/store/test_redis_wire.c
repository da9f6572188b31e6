/* store/redis/resp.c, wire_*.c, failure.c: what goes to a server and what comes back. The scripts themselves are
 * tested on a real server (tests/integration/test_redis_scripts.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/redis/wire.h"

static const struct redis_keys keys = {STR_INIT("p"), REDIS_FLAT, false};
static const struct wire wire = {&keys, STR_INIT("p/events")};
static const struct quorum_hello hello = {.run_id = "run", .replication_id = "repl", .master = true};
static const struct quorum_names names = {.kind = STR_INIT("default"),
                                          .election = STR_INIT("e"),
                                          .candidate = STR_INIT("A"),
                                          .from = STR_INIT("B")};

static void expect_bytes(struct buf *out, const char *expected)
{
    assert_int_equal(out->n, strlen(expected));
    assert_memory_equal(out->p, expected, out->n);
    buf_clear(out);
}

/* Takes one reply from bytes and reads it as the answer to a command. */
static enum err read_as(const struct quorum_command *command, const char *bytes, struct quorum_reply *reply,
                        const struct redis_failure **failure)
{
    static struct wire_first first;
    static struct resp_reader reader; /* the last reply's name points into it */
    const struct resp_value *value = NULL;
    unsigned left = command->verb == QUORUM_SET ? 2 : 1;
    enum err err = EA_OK;
    if (reader.hiredis == NULL) {
        resp_reader_init(&reader);
    }
    resp_reader_reset(&reader);
    assert_int_equal(resp_reader_feed(&reader, bytes, strlen(bytes), NULL), EA_OK);
    while (err == EA_OK && left-- > 0) {
        assert_int_equal(resp_reader_next(&reader, &value, NULL), EA_OK);
        assert_non_null(value);
        err = wire_read(command, REDIS_EDITION_7, left, value, &first, reply, failure);
    }
    return err;
}

static void expect_answer(enum quorum_verb verb, const char *bytes, enum quorum_answer expected)
{
    struct quorum_command command = {.verb = verb, .names = &names, .exact = true};
    struct quorum_reply reply;
    const struct redis_failure *failure;
    assert_int_equal(read_as(&command, bytes, &reply, &failure), EA_OK);
    assert_string_equal(quorum_answer_word(reply.answer), quorum_answer_word(expected));
}

static void expect_misfit(enum quorum_verb verb, const char *bytes)
{
    struct quorum_command command = {.verb = verb, .names = &names};
    struct quorum_reply reply;
    const struct redis_failure *failure;
    assert_int_equal(read_as(&command, bytes, &reply, &failure), EA_PROTOCOL);
}

/* --- RESP --- */

static void replies_arrive_in_any_pieces(void **state)
{
    static const char bytes[] = "*3\r\n:-7\r\n$3\r\na\r\n\r\n*1\r\n$-1\r\n+OK\r\n-ERR no\r\n";
    struct resp_reader *reader = mem_zalloc(sizeof *reader);
    resp_reader_init(reader);
    size_t seen = 0;
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        const struct resp_value *value = NULL;
        assert_int_equal(resp_reader_feed(reader, bytes + i, 1, NULL), EA_OK);
        assert_int_equal(resp_reader_next(reader, &value, NULL), EA_OK);
        if (value != NULL && seen++ == 0) {
            assert_int_equal(value->n, 3);
            assert_int_equal(value->items[0].integer, -7);
            assert_true(str_eq(value->items[1].str, STR("a\r\n")));
            assert_int_equal(value->items[2].items[0].type, RESP_NIL);
        } else if (value != NULL) {
            assert_int_equal(value->type, seen == 2 ? RESP_STATUS : RESP_ERROR);
        }
    }
    assert_int_equal(seen, 3);
    resp_reader_fini(reader);
    mem_free(reader);
}

static void what_is_no_reply_or_too_large_is_an_error(void **state)
{
    static const char *const bad[] = {"HTTP/1.1 400 Bad Request\r\n",
                                      "*-2\r\n",
                                      "$-5\r\n",
                                      ":x\r\n",
                                      "*2000000000\r\n",
                                      "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"};
    struct resp_reader *reader = mem_zalloc(sizeof *reader);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        const struct resp_value *value = NULL;
        struct error error = ERROR_NONE;
        resp_reader_init(reader);
        assert_int_equal(resp_reader_feed(reader, bad[i], strlen(bad[i]), &error), EA_OK);
        assert_int_equal(resp_reader_next(reader, &value, &error), EA_PROTOCOL);
        assert_true(strlen(error.text) > 0);
        resp_reader_fini(reader);
    }
    mem_free(reader);
}

static void a_reply_without_an_end_is_cut_off(void **state)
{
    struct resp_reader *reader = mem_zalloc(sizeof *reader);
    char *block = mem_zalloc(1 << 20);
    const struct resp_value *value = NULL;
    enum err err = EA_OK;
    size_t fed = 0;
    resp_reader_init(reader);
    assert_int_equal(resp_reader_feed(reader, "$500000000\r\n", 12, NULL), EA_OK);
    while (err == EA_OK && fed < 4 * RESP_BYTES_MAX) {
        err = resp_reader_feed(reader, block, 1 << 20, NULL);
        fed += 1 << 20;
        if (err == EA_OK) {
            assert_int_equal(resp_reader_next(reader, &value, NULL), EA_OK);
        }
    }
    assert_int_equal(err, EA_PROTOCOL);
    mem_free(block);
    resp_reader_fini(reader);
    mem_free(reader);
}

/* --- commands --- */

static void a_campaign_is_two_native_commands_in_one_write(void **state)
{
    struct quorum_command set = {.verb = QUORUM_SET, .names = &names, .term_ms = 1500};
    struct wire_node node;
    struct buf out = BUF_EMPTY;
    wire_node_init(&node, REDIS_EDITION_7, &hello, 0);
    assert_int_equal(wire_write(&wire, &node, &set, &out), 2);
    expect_bytes(
        &out, "*7\r\n$3\r\nSET\r\n$3\r\np/e\r\n$1\r\nA\r\n$2\r\nPX\r\n$4\r\n1500\r\n$2\r\nNX\r\n$3\r\nGET\r\n"
              "*3\r\n$4\r\nMGET\r\n$17\r\np/fence/default/e\r\n$18\r\np/tenure/default/e\r\n");
    wire_node_init(&node, REDIS_EDITION_6, &hello, 0);
    assert_int_equal(wire_write(&wire, &node, &set, &out), 1);
    assert_non_null(memmem(out.p, out.n, "EVALSHA", 7));
    buf_fini(&out);
}

static void every_verb_is_one_whole_command(void **state)
{
    struct buf out = BUF_EMPTY;
    for (enum redis_edition edition = 0; edition < REDIS_EDITIONS; edition++) {
        struct wire_node node;
        wire_node_init(&node, edition, &hello, 0);
        for (enum quorum_verb verb = 0; verb < QUORUM_VERB_COUNT; verb++) {
            struct quorum_command command = {.verb = verb, .names = &names, .n_tried = 2, .exact = true};
            unsigned replies = wire_write(&wire, &node, &command, &out);
            struct resp_reader *reader = mem_zalloc(sizeof *reader);
            const struct resp_value *value = NULL;
            resp_reader_init(reader); /* commands look like replies: the reader counts the words */
            assert_int_equal(resp_reader_feed(reader, out.p, out.n, NULL), EA_OK);
            for (unsigned i = 0; i < replies; i++) {
                assert_int_equal(resp_reader_next(reader, &value, NULL), EA_OK);
                assert_non_null(value);
            }
            assert_int_equal(resp_reader_next(reader, &value, NULL), EA_OK);
            assert_null(value);
            resp_reader_fini(reader);
            mem_free(reader);
            buf_clear(&out);
        }
    }
    buf_fini(&out);
}

static void commands_of_one_verb_are_one_call(void **state)
{
    struct quorum_names other = {.kind = STR("default"), .election = STR("f"), .candidate = STR("B")};
    const struct {
        enum quorum_verb verb;
        size_t most;
        size_t words; /* of a call about two elections */
    } rows[] = {
        {QUORUM_LOOK, WIRE_LOOKS_MAX, 3 + 1 + 2 * 3 + 1 + 2 * 3},
        {QUORUM_CLAIM, WIRE_CLAIMS_MAX, 3 + 1 + 2 * 5 + 1 + 2 * 12},
        {QUORUM_READ, WIRE_READS_MAX, 1 + 2 * 2},
        {QUORUM_UNDO, 0, 0},
    };
    struct wire_node node;
    struct buf out = BUF_EMPTY;
    wire_node_init(&node, REDIS_EDITION_7, &hello, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct quorum_command one = {.verb = rows[i].verb, .names = &names};
        struct quorum_command two = {.verb = rows[i].verb, .names = &other};
        const struct quorum_command *both[] = {&one, &two};
        char head[16];
        assert_int_equal(wire_batch_max(&one), rows[i].most);
        if (rows[i].most > 0) {
            wire_write_batch(&wire, &node, both, 2, &out);
            (void)snprintf(head, sizeof head, "*%zu\r\n", rows[i].words);
            assert_memory_equal(out.p, head, strlen(head));
            assert_non_null(memmem(out.p, out.n, "\r\np/e\r\n", 7));
            assert_non_null(memmem(out.p, out.n, "\r\np/f\r\n", 7));
            buf_clear(&out);
        }
    }
    assert_int_equal(wire_batch_max(&(struct quorum_command){.verb = QUORUM_READ, .exact = true}), 0);
    buf_fini(&out);
}

static void what_gives_back_travels_with_its_text(void **state)
{
    static const enum quorum_verb verbs[] = {QUORUM_UNDO, QUORUM_RESTORE, QUORUM_RESTORE_EXPIRY};
    struct wire_node node;
    struct buf out = BUF_EMPTY;
    wire_node_init(&node, REDIS_EDITION_7, &hello, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        struct quorum_command command = {.verb = verbs[i], .names = &names};
        (void)wire_write(&wire, &node, &command, &out);
        assert_non_null(memmem(out.p, out.n, "$4\r\nEVAL\r\n", 10));
        buf_clear(&out);
    }
    buf_fini(&out);
}

/* --- replies --- */

static void replies_say_what_they_should(void **state)
{
    expect_answer(QUORUM_SET, "$-1\r\n*2\r\n$2\r\n17\r\n$-1\r\n", QUORUM_NEW);
    expect_answer(QUORUM_SET, "$1\r\nB\r\n*2\r\n$-1\r\n$-1\r\n", QUORUM_NAME);
    expect_answer(QUORUM_PEEK, "*3\r\n$-1\r\n$-1\r\n$-1\r\n", QUORUM_NONE);
    expect_answer(QUORUM_CLAIM, "*1\r\n*1\r\n$2\r\nok\r\n", QUORUM_OK);
    expect_answer(QUORUM_CLAIM, "*1\r\n*2\r\n$3\r\nlow\r\n$1\r\n9\r\n", QUORUM_LOW);
    expect_answer(QUORUM_CLAIM, "*1\r\n*1\r\n$8\r\namnesiac\r\n", QUORUM_AMNESIAC);
    expect_answer(QUORUM_RESIGN, "*2\r\n$2\r\nok\r\n$1\r\n9\r\n", QUORUM_OK);
    expect_answer(QUORUM_RESIGN, "*3\r\n$2\r\nno\r\n$1\r\nB\r\n$1\r\n9\r\n", QUORUM_NO);
    expect_answer(QUORUM_HANDOVER, "*3\r\n$2\r\nok\r\n$0\r\n\r\n$1\r\n0\r\n", QUORUM_OK);
    expect_answer(QUORUM_READ, "*4\r\n$4\r\nname\r\n$1\r\nA\r\n$1\r\n7\r\n$3\r\n900\r\n", QUORUM_NAME);
    expect_answer(QUORUM_NODE_READ,
                  "*6\r\n$2\r\nok\r\n$0\r\n\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n", QUORUM_OK);
}

static void a_look_brings_token_owner_fence_and_expiry(void **state)
{
    struct quorum_command look = {.verb = QUORUM_LOOK, .names = &names};
    struct quorum_reply reply;
    const struct redis_failure *failure;
    const char *bytes = "*1\r\n*5\r\n$2\r\nok\r\n$2\r\n77\r\n$33\r\n0000000000000012.00000000000000ff\r\n$"
                        "2\r\n78\r\n$4\r\n5000\r\n";
    assert_int_equal(read_as(&look, bytes, &reply, &failure), EA_OK);
    assert_int_equal(reply.answer, QUORUM_OK);
    assert_int_equal(reply.token, 77);
    assert_int_equal(reply.fence, 78);
    assert_int_equal(reply.owner.clock, 12);
    assert_int_equal(reply.owner.agent, 255);
    assert_int_equal(reply.expires_ms, 5000);
}

static void an_item_of_a_batch_is_read_by_its_place(void **state)
{
    const char bytes[] = "*2\r\n*1\r\n$2\r\nok\r\n*2\r\n$3\r\nlow\r\n$1\r\n9\r\n";
    struct resp_reader *reader = mem_zalloc(sizeof *reader);
    const struct resp_value *value = NULL;
    const struct redis_failure *failure;
    struct quorum_reply reply;
    resp_reader_init(reader);
    assert_int_equal(resp_reader_feed(reader, bytes, sizeof bytes - 1, NULL), EA_OK);
    assert_int_equal(resp_reader_next(reader, &value, NULL), EA_OK);
    assert_int_equal(wire_read_item(QUORUM_CLAIM, value, 0, 2, &reply, &failure), EA_OK);
    assert_int_equal(reply.answer, QUORUM_OK);
    assert_int_equal(wire_read_item(QUORUM_CLAIM, value, 1, 2, &reply, &failure), EA_OK);
    assert_int_equal(reply.answer, QUORUM_LOW);
    assert_int_equal(reply.fence, 9);
    assert_int_equal(wire_read_item(QUORUM_CLAIM, value, 0, 3, &reply, &failure), EA_PROTOCOL);
    assert_int_equal(wire_read_item(QUORUM_LOOK, value, 1, 2, &reply, &failure), EA_PROTOCOL);
    resp_reader_fini(reader);
    mem_free(reader);
}

static void a_token_is_shown_only_if_the_tenure_names_the_holder(void **state)
{
    struct quorum_command peek = {.verb = QUORUM_PEEK, .names = &names};
    struct quorum_reply reply;
    const struct redis_failure *failure;
    assert_int_equal(read_as(&peek, "*3\r\n$1\r\nB\r\n$-1\r\n$7\r\n9 0.0 B\r\n", &reply, &failure), EA_OK);
    assert_int_equal(reply.token, 9);
    assert_int_equal(read_as(&peek, "*3\r\n$1\r\nB\r\n$-1\r\n$7\r\n9 0.0 C\r\n", &reply, &failure), EA_OK);
    assert_int_equal(reply.token, 0);
    assert_int_equal(read_as(&peek, "*3\r\n$1\r\nB\r\n$-1\r\n$2\r\n9 \r\n", &reply, &failure), EA_OK);
    assert_int_equal(reply.token, 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    expect_misfit(QUORUM_CLAIM, "+OK\r\n");
    expect_misfit(QUORUM_CLAIM, "*1\r\n$7\r\nmissing\r\n");
    expect_misfit(QUORUM_CLAIM, "*1\r\n$4\r\nokay\r\n");
    expect_misfit(QUORUM_CLAIM, "*1\r\n$3\r\nlow\r\n");
    expect_misfit(QUORUM_LOOK, "*0\r\n");
    expect_misfit(QUORUM_LOOK, "*2\r\n*1\r\n$8\r\namnesiac\r\n*1\r\n$8\r\namnesiac\r\n");
    expect_misfit(QUORUM_LOOK, "*1\r\n*5\r\n$2\r\nok\r\n$1\r\n0\r\n$33\r\n0000000000000012."
                               "00000000000000ff\r\n$1\r\n1\r\n$1\r\n1\r\n");
    expect_misfit(QUORUM_LOOK, "*1\r\n*5\r\n$2\r\nok\r\n$1\r\n7\r\n$3\r\n1.2\r\n$1\r\n1\r\n$1\r\n1\r\n");
    expect_misfit(QUORUM_SET, ":1\r\n*2\r\n$-1\r\n$-1\r\n");
    expect_misfit(QUORUM_SET, "$-1\r\n*1\r\n$-1\r\n");
    expect_misfit(QUORUM_PEEK, "*2\r\n$-1\r\n$-1\r\n");
    expect_misfit(QUORUM_READ, "*1\r\n$-1\r\n");
    expect_misfit(QUORUM_NODE_READ,
                  "*6\r\n$2\r\nok\r\n$0\r\n\r\n$1\r\nx\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
}

static void errors_of_servers_say_what_cures_them(void **state)
{
    static const struct {
        const char *bytes;
        const char *word;
    } errors[] = {
        {"-READONLY You can't write against a read only replica.\r\n", "READONLY"},
        {"-OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:3.\r\n", "OOM"},
        {"-ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed\r\n", "OOM"},
        {"-NOSCRIPT No matching script.\r\n", "NOSCRIPT"},
        {"-MOVED 3999 127.0.0.1:6381\r\n", "MOVED"},
        {"-ERR something new\r\n", ""},
    };
    struct quorum_command claim = {.verb = QUORUM_CLAIM, .names = &names};
    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        struct quorum_reply reply;
        const struct redis_failure *failure = NULL;
        assert_int_equal(read_as(&claim, errors[i].bytes, &reply, &failure), EA_OK);
        assert_int_equal(reply.answer, QUORUM_FAILED);
        assert_true(redis_failure_is(failure, errors[i].word));
        assert_true(strlen(failure->cure) > 0);
    }
}

static void a_holder_that_is_no_name_makes_its_node_useless(void **state)
{
    expect_answer(QUORUM_SET, "$2\r\na\n\r\n*2\r\n$-1\r\n$-1\r\n", QUORUM_FAILED);
    expect_answer(QUORUM_PEEK, "*3\r\n$0\r\n\r\n$-1\r\n$-1\r\n", QUORUM_FAILED);
}

/* --- text forms --- */

static void markers_come_back_as_they_were(void **state)
{
    char text[WIRE_MARKER_BYTES];
    struct quorum_marker marker = {.there = true, .blank = true, .nonce = UINT64_MAX};
    struct quorum_marker back;
    memset(marker.run_id, 'r', QUORUM_ID_BYTES - 1);
    memset(marker.replication_id, 'q', QUORUM_ID_BYTES - 1);
    size_t n = wire_marker_write(&marker, text);
    wire_marker_read((struct str){text, n}, &back);
    assert_true(quorum_marker_is(&marker, &back));
    static const char *const broken[] = {"x", "a b", "a b 1", "a b 1 2", "a b 1 1 ", "a  1 1", "a b -1 0"};
    for (size_t i = 0; i < ARRAY_LENGTH(broken); i++) {
        wire_marker_read(str_of(broken[i]), &back);
        assert_true(back.there);
        assert_string_equal(back.run_id, "");
        assert_int_equal(back.nonce, 0);
    }
    wire_marker_read(STR(""), &back);
    assert_false(back.there);
}

static void the_order_of_owners_is_the_order_of_their_texts(void **state)
{
    static const struct quorum_owner owners[] = {
        {0, 1}, {9, 0}, {9, 10}, {10, 1}, {(UINT64_C(1) << 53) - 1, UINT64_MAX}};
    char last[WIRE_OWNER_BYTES + 1] = "";
    for (size_t i = 0; i < ARRAY_LENGTH(owners); i++) {
        char text[WIRE_OWNER_BYTES + 1];
        struct quorum_owner back;
        wire_owner_write(owners[i], text);
        assert_true(strcmp(last, text) < 0);
        assert_true(wire_owner_read(str_of(text), &back));
        assert_true(quorum_owner_is(owners[i], back));
        memcpy(last, text, sizeof last);
    }
    struct quorum_owner ignored;
    assert_false(wire_owner_read(STR("0000000000000012,00000000000000ff"), &ignored));
    assert_false(wire_owner_read(STR("0000000000000012.00000000000000FF"), &ignored));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_arrive_in_any_pieces),
        cmocka_unit_test(what_is_no_reply_or_too_large_is_an_error),
        cmocka_unit_test(a_reply_without_an_end_is_cut_off),
        cmocka_unit_test(a_campaign_is_two_native_commands_in_one_write),
        cmocka_unit_test(every_verb_is_one_whole_command),
        cmocka_unit_test(commands_of_one_verb_are_one_call),
        cmocka_unit_test(what_gives_back_travels_with_its_text),
        cmocka_unit_test(replies_say_what_they_should),
        cmocka_unit_test(a_look_brings_token_owner_fence_and_expiry),
        cmocka_unit_test(an_item_of_a_batch_is_read_by_its_place),
        cmocka_unit_test(a_token_is_shown_only_if_the_tenure_names_the_holder),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(errors_of_servers_say_what_cures_them),
        cmocka_unit_test(a_holder_that_is_no_name_makes_its_node_useless),
        cmocka_unit_test(markers_come_back_as_they_were),
        cmocka_unit_test(the_order_of_owners_is_the_order_of_their_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
