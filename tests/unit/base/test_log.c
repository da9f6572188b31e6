#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "helpers.h"

#define T "2026-01-01T00:00:00.000Z "

static struct clock_fake fake;
static struct buf written;
static int writes;

static void keep(void *arg, enum log_level level, struct str line)
{
    assert_ptr_equal(arg, &written);
    assert_true(line.n > 0 && line.n <= LOG_LINE_BYTES && line.p[line.n - 1] == '\n');
    buf_add_str(&written, line);
    writes++;
}

static int set_up(void **state)
{
    clock_fake_init(&fake);
    buf_clear(&written);
    writes = 0;
    log_set_level(LOG_INFO);
    log_set_sink(
        &(struct log_sink){.format = LOG_FORMAT_TEXT, .write = keep, .arg = &written, .clock = &fake.clock});
    return 0;
}

static void use_json(void)
{
    log_set_sink(
        &(struct log_sink){.format = LOG_FORMAT_JSON, .write = keep, .arg = &written, .clock = &fake.clock});
}

static void assert_written(const char *expected)
{
    *buf_reserve(&written, 1) = '\0';
    assert_string_equal(written.p, expected);
}

static void a_text_line_has_time_level_part_message_and_fields(void **state)
{
    set_up(state);
    log_info("store", "opened", LOG_TEXT("path", "/var/lib/x"), LOG_INT("leases", -3),
             LOG_UINT("token", UINT64_MAX), LOG_STR("none", ((struct str){NULL, 0})));
    assert_written(T
                   "info store: opened path=\"/var/lib/x\" leases=-3 token=18446744073709551615 none=\"\"\n");
}

static void a_line_needs_no_fields(void **state)
{
    set_up(state);
    log_error("net", "gone");
    assert_written(T "error net: gone\n");
}

static void a_json_line_is_one_object(void **state)
{
    set_up(state);
    use_json();
    log_warning("store", "opened", LOG_TEXT("path", "/x"), LOG_INT("least", INT64_MIN), LOG_UINT("n", 0));
    assert_written("{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"warning\",\"part\":\"store\","
                   "\"message\":\"opened\","
                   "\"path\":\"/x\",\"least\":-9223372036854775808,\"n\":0}\n");
    assert_true(json_is_flat_object(buf_str(&written)));
}

static void foreign_bytes_cannot_forge_lines_or_fields(void **state)
{
    set_up(state);
    log_info("net", "odd\nmessage", LOG_STR("name", STR("a\" level=\"x\n\x1b[2J\xFF\0")));
    assert_written(T "info net: odd\\nmessage name=\"a\\\" level=\\\"x\\n\\x1b[2J\\xff\\x00\"\n");
    buf_clear(&written);
    use_json();
    log_info("net", "odd\nmessage", LOG_STR("name", STR("a\",\"b\":\"\xFF\x1b\0")));
    assert_written("{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"info\",\"part\":\"net\",\"message\":"
                   "\"odd\\nmessage\","
                   "\"name\":\"a\\\",\\\"b\\\":\\\"\xEF\xBF\xBD\\u001b\\u0000\"}\n");
}

static void lines_below_the_level_are_not_written_nor_their_arguments_evaluated(void **state)
{
    set_up(state);
    int evaluated = 0;
    log_debug("net", "x", LOG_INT("n", ++evaluated));
    assert_int_equal(writes, 0);
    assert_int_equal(evaluated, 0);
    log_set_level(LOG_DEBUG);
    log_debug("net", "x", LOG_INT("n", ++evaluated));
    assert_int_equal(writes, 1);
    assert_int_equal(evaluated, 1);
    log_set_level(LOG_PANIC);
    log_error("net", "x");
    assert_int_equal(writes, 1);
    assert_true(log_enabled(LOG_FATAL) && !log_enabled(LOG_ERROR));
}

static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
    char value[2 * LOG_LINE_BYTES];
    memset(value, 'v', sizeof value);
    set_up(state);
    log_info("net", "long", LOG_STR("value", str_from(value, sizeof value)), LOG_INT("lost", 1));
    assert_true(str_ends(buf_str(&written), STR("vvv\" (cut)\n")));
    assert_true(written.n > LOG_LINE_BYTES - 32);
    assert_int_equal(writes, 1);
    buf_clear(&written);
    use_json();
    log_info("net", "long", LOG_STR("value", str_from(value, sizeof value)), LOG_INT("lost", 1));
    assert_true(str_ends(buf_str(&written), STR("vvv\",\"cut\":true}\n")));
    assert_true(json_is_flat_object(buf_str(&written)));
}

static void at_every_length_a_line_is_whole_or_cut_and_valid(void **state)
{
    static char filler[LOG_LINE_BYTES];
    memset(filler, '\n', sizeof filler);
    for (int json = 0; json < 2; json++) {
        for (size_t n = 1800; n < 2100; n++) {
            set_up(state);
            if (json == 1) {
                use_json();
            }
            log_info("net", "long", LOG_STR("a", str_from(filler, n)), LOG_UINT("number", UINT64_MAX),
                     LOG_TEXT("b", "\xC3\xA4\xC3\xA4"), LOG_INT("last", 1));
            bool cut = str_ends(buf_str(&written), json == 1 ? STR(",\"cut\":true}\n") : STR(" (cut)\n"));
            bool whole = str_ends(buf_str(&written), json == 1 ? STR("\"last\":1}\n") : STR(" last=1\n"));
            assert_true(cut != whole);
            assert_true(whole || written.n > LOG_LINE_BYTES - 64);
            assert_true(str_is_utf8(buf_str(&written)));
            assert_true(json == 0 || json_is_flat_object(buf_str(&written)));
        }
    }
}

static void any_bytes_give_valid_lines(void **state)
{
    struct rng rng;
    rng_seed(&rng, 12);
    for (int i = 0; i < 3000; i++) {
        char bytes[3000];
        size_t n = rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < n; k++) {
            bytes[k] = (char)rng_next(&rng);
        }
        set_up(state);
        if (i % 2 == 0) {
            use_json();
        }
        log_info("net", "hostile", LOG_STR("a", str_from(bytes, n)), LOG_STR("b", str_from(bytes, n / 2)));
        assert_true(str_is_utf8(buf_str(&written)));
        assert_false(str_has_control(str_from(written.p, written.n - 1)));
        assert_true(i % 2 != 0 || json_is_flat_object(buf_str(&written)));
    }
}

static void levels_are_read_by_name(void **state)
{
    enum log_level level = LOG_FATAL;
    for (int i = LOG_DEBUG; i <= LOG_FATAL; i++) {
        assert_true(log_level_parse(str_of(log_level_name((enum log_level)i)), &level));
        assert_int_equal(level, i);
    }
    assert_true(log_level_parse(STR("WARN"), &level) && level == LOG_WARNING);
    assert_true(log_level_parse(STR("Info"), &level) && level == LOG_INFO);
    assert_false(log_level_parse(STR("verbose"), &level));
    assert_false(log_level_parse(STR(""), &level));
    assert_false(log_level_parse((struct str){NULL, 0}, &level));
    assert_int_equal(level, LOG_INFO);
    assert_string_equal(log_level_name((enum log_level)99), "unknown");
}

static void a_line_is_one_write_to_the_descriptor_and_leaves_errno(void **state)
{
    int fds[2];
    char got[LOG_LINE_BYTES];
    set_up(state);
    assert_int_equal(pipe2(fds, O_DIRECT), 0); /* a packet for each write */
    log_set_sink(&(struct log_sink){.format = LOG_FORMAT_TEXT, .fd = fds[1], .clock = &fake.clock});
    errno = EBUSY;
    log_info("net", "one", LOG_INT("n", 1));
    log_info("net", "two");
    assert_int_equal(errno, EBUSY);
    static const char one[] = T "info net: one n=1\n";
    assert_int_equal(read(fds[0], got, sizeof got), sizeof one - 1);
    assert_memory_equal(got, one, sizeof one - 1);
    assert_true(read(fds[0], got, sizeof got) > 0);
    close(fds[0]);
    close(fds[1]);
    log_set_sink(&(struct log_sink){.format = LOG_FORMAT_TEXT, .fd = -1});
    errno = EBUSY;
    log_info("net", "nowhere");
    assert_int_equal(errno, EBUSY);
}

static int tear_down(void **state)
{
    buf_fini(&written);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_part_message_and_fields),
        cmocka_unit_test(a_line_needs_no_fields),
        cmocka_unit_test(a_json_line_is_one_object),
        cmocka_unit_test(foreign_bytes_cannot_forge_lines_or_fields),
        cmocka_unit_test(lines_below_the_level_are_not_written_nor_their_arguments_evaluated),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(at_every_length_a_line_is_whole_or_cut_and_valid),
        cmocka_unit_test(any_bytes_give_valid_lines),
        cmocka_unit_test(levels_are_read_by_name),
        cmocka_unit_test(a_line_is_one_write_to_the_descriptor_and_leaves_errno),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
