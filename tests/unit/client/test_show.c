/* What is shown, of an instance that was never run: its parts are put there by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/internal.h"

#define RUDE "<a href=\"x\">&'"
#define TAME "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"

static struct election *e;
static struct election_term term;

static int setup(void **state)
{
    e = calloc(1, sizeof *e);
    atomic_store(&term.alive, 1);
    e->term = &term;
    failover_init(&e->failover,
                  &(struct failover_settings){.node_id = e->settings.node_id, .ttl_ms = 3000, .tick_ms = 500},
                  (struct mono){0});
    return pthread_mutex_init(&e->lock, NULL);
}

static int teardown(void **state)
{
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
    return 0;
}

/* `name` in every place that a name, a reason or an address may come to. */
static void name_everything(const char *name, size_t nodes, size_t entries)
{
    (void)snprintf(e->settings.project, sizeof e->settings.project, "%s", name);
    (void)snprintf(e->settings.node_id, sizeof e->settings.node_id, "%s", name);
    (void)snprintf(e->failover.leader, sizeof e->failover.leader, "%s", name);
    (void)snprintf(e->store_why, sizeof e->store_why, "%.150s", name);
    e->failover.leader_token = UINT64_MAX;
    e->failover.n_nodes = nodes;
    for (size_t i = 0; i < nodes; i++) {
        struct failover_node *node = &e->failover.nodes[i];
        *node = (struct failover_node){.priority = 1000000 - (int32_t)i};
        (void)snprintf(node->name, sizeof node->name, "%s", name);
    }
    e->n_entries = entries;
    for (size_t i = 0; i < entries; i++) {
        struct election_entry *entry = &e->entries[i % ELECTION_ENTRIES_MAX];
        *entry = (struct election_entry){.act = ELECTION_ACT_HANDED_OVER, .token = i};
        (void)snprintf(entry->node_id, sizeof entry->node_id, "%s", name);
    }
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
        n++;
    }
    return n;
}

static void every_value_of_the_page_is_escaped(void **state)
{
    char page[ELECTION_FORMAT_BYTES];
    name_everything(RUDE, 1, 1);
    size_t n = election_format_stats(e, page, sizeof page);
    assert_int_equal(n, strlen(page));
    /* project, leader, this node, store, alive, entry */
    assert_int_equal(count(page, TAME), 6);
    assert_null(strstr(page, "<a"));
    /* What is left of markup is the page's own. */
    assert_int_equal(count(page, "<"), count(page, "<b>") + count(page, "</b>") + count(page, "<i>") +
                                           count(page, "</i>") + count(page, "<code>") +
                                           count(page, "</code>"));
    assert_int_equal(count(page, "<b>"), count(page, "</b>"));
    assert_int_equal(count(page, "<code>"), count(page, "</code>"));
}

static void the_largest_page_fits(void **state)
{
    char page[ELECTION_FORMAT_BYTES + 1000];
    char rude[ELECTION_NAME_BYTES];
    memset(rude, '"', sizeof rude - 1);
    rude[sizeof rude - 1] = '\0';
    name_everything(rude, ELECTION_NODES_MAX, 1000);
    size_t whole = election_format_stats(e, page, sizeof page);
    assert_true(whole < ELECTION_FORMAT_BYTES);
    assert_true(whole - count(page, "&quot;") * (sizeof "&quot;" - 2) < 2500);
    /* The last event is there: nothing was left out. */
    assert_int_equal(count(page, "handed_over\n"), 5);
}

static void a_page_ends_with_a_whole_line_however_little_room_there_is(void **state)
{
    char whole[ELECTION_FORMAT_BYTES];
    name_everything(RUDE, 3, 3);
    size_t all = election_format_stats(e, whole, sizeof whole);
    for (size_t bytes = 0; bytes <= all + 1; bytes++) {
        char *page = malloc(bytes + 1); /* so that a byte too many is seen by a sanitizer */
        page[bytes] = 'x';
        size_t n = election_format_stats(e, page, bytes);
        assert_true(bytes == 0 ? n == 0 : n < bytes && page[n] == '\0');
        assert_memory_equal(page, whole, n);
        assert_true(n == 0 || page[n - 1] == '\n');
        assert_true(bytes <= all || n == all);
        assert_int_equal(page[bytes], 'x');
        free(page);
    }
}

static void a_long_name_is_cut_between_characters(void **state)
{
    char page[ELECTION_FORMAT_BYTES];
    char name[] = "xèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèè"; /* byte 64 is inside a character */
    name_everything(name, 0, 0);
    (void)election_format_stats(e, page, sizeof page);
    char *end = strchr(page, '\n');
    *end = '\0';
    assert_string_equal(page, "<b>xèèèèèèèèèèèèèèèèèèèèèèèèèèèèèèè…</b>");
}

static void stats_are_the_last_hundred_events_and_the_nodes_by_priority(void **state)
{
    struct election_stats *stats = malloc(sizeof *stats);
    name_everything("n", ELECTION_NODES_MAX, 250);
    e->store_up = true;
    stats->size = sizeof *stats;
    assert_int_equal(election_stats(e, stats), ELECTION_OK);
    assert_string_equal(stats->project, "n");
    assert_string_equal(stats->leader, "n");
    assert_true(stats->leader_token == UINT64_MAX);
    assert_int_equal(stats->n_entries, ELECTION_ENTRIES_MAX);
    for (size_t i = 0; i < stats->n_entries; i++) {
        assert_int_equal(stats->entries[i].token, 150 + i);
    }
    assert_int_equal(stats->n_nodes, ELECTION_NODES_MAX);
    for (size_t i = 0; i < stats->n_nodes; i++) {
        assert_int_equal(stats->nodes[i].priority, 1000001 - ELECTION_NODES_MAX + i);
    }
    stats->size--;
    assert_int_equal(election_stats(e, stats), ELECTION_INVALID);
    assert_int_equal(election_stats(NULL, stats), ELECTION_INVALID);
    assert_int_equal(election_stats(e, NULL), ELECTION_INVALID);
    free(stats);
}

/* --- words --- */

static void every_code_has_words_of_its_own(void **state)
{
    for (int i = ELECTION_OK; i <= ELECTION_INVALID + 1; i++) {
        const char *text = election_error_text((enum election_error)i);
        assert_true(text[0] != '\0');
        assert_int_equal(strcmp(text, "unknown") == 0, i > ELECTION_INVALID);
        assert_true(i == 0 || strcmp(text, election_error_text((enum election_error)(i - 1))) != 0);
    }
    for (int i = ELECTION_ACT_ELECTED; i <= ELECTION_ACT_LEFT + 1; i++) {
        const char *text = election_act_text((enum election_act)i);
        assert_int_equal(strcmp(text, "unknown") == 0, i > ELECTION_ACT_LEFT);
    }
    for (int i = ELECTION_FOLLOWING; i <= ELECTION_OVER + 1; i++) {
        const char *text = election_state_text((enum election_state)i);
        assert_int_equal(strcmp(text, "unknown") == 0, i > ELECTION_OVER);
    }
    assert_string_equal(election_error_text((enum election_error) - 1), "unknown");
    assert_string_equal(election_act_text((enum election_act) - 1), "unknown");
    assert_string_equal(election_state_text((enum election_state) - 1), "unknown");
}

/* --- log --- */

static char heard[1024];

static void hear(void *user, enum election_level level, const char *message,
                 const struct election_field *fields, size_t n)
{
    int at = snprintf(heard, sizeof heard, "%d %s", (int)level, message);
    for (size_t i = 0; i < n; i++) {
        at += snprintf(heard + at, sizeof heard - (size_t)at, "|%s=%.100s", fields[i].name, fields[i].value);
    }
    assert_ptr_equal(user, e);
}

static void the_log_comes_to_the_program_with_what_is_from_outside_escaped(void **state)
{
    struct log_field fields[] = {LOG_TEXT("why", "a\nb\x1B"), LOG_INT("less", INT64_MIN),
                                 LOG_UINT("more", UINT64_MAX)};
    e->settings.program.user = e;
    show_log(&e->tap, LOG_WARNING, "redis", "went away", fields, 3); /* no logger: silent */
    e->settings.program.logger = hear;
    show_log(&e->tap, LOG_WARNING, "redis", "went away", fields, 3);
    assert_string_equal(heard, "2 redis: went away|why=a\\nb\\x1b|less=-9223372036854775808|"
                               "more=18446744073709551615");
}

static void a_log_line_is_one_line_however_long(void **state)
{
    char line[8192];
    char longest[600];
    int ends[2];
    struct election_field fields[20];
    memset(longest, 'v', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        fields[i] = (struct election_field){"name", longest};
    }
    assert_int_equal(pipe(ends), 0);
    int before = dup(STDERR_FILENO);
    (void)dup2(ends[1], STDERR_FILENO);
    election_log_stderr(NULL, ELECTION_WARNING, longest, fields, ARRAY_LENGTH(fields));
    (void)dup2(before, STDERR_FILENO);
    ssize_t n = read(ends[0], line, sizeof line);
    assert_in_range(n, 512, 4096);
    assert_ptr_equal(memchr(line, '\n', (size_t)n), line + n - 1);
    assert_non_null(memmem(line, (size_t)n, " warning ", 9));
    assert_non_null(memmem(line, (size_t)n, " name=\"vvv", 10));
    (void)close(before);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_value_of_the_page_is_escaped),
        TEST(the_largest_page_fits),
        TEST(a_page_ends_with_a_whole_line_however_little_room_there_is),
        TEST(a_long_name_is_cut_between_characters),
        TEST(stats_are_the_last_hundred_events_and_the_nodes_by_priority),
        TEST(every_code_has_words_of_its_own),
        TEST(the_log_comes_to_the_program_with_what_is_from_outside_escaped),
        TEST(a_log_line_is_one_line_however_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
