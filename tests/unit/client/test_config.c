#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "client/internal.h"

static int lead(void *user, struct election_context *context)
{
    return 0;
}

static struct election_config good(void)
{
    struct election_config config;
    election_config_init(&config);
    config.project = "billing";
    config.node_id = "a";
    config.redis_urls = "redis://127.0.0.1:6379";
    config.on_start = lead;
    return config;
}

static struct election_settings settings;

static void fini(void)
{
    mem_free(settings.url_text);
    assert_null(settings.redis.tls_server_name);
}

/* By the field's name first, and with what would be right. */
static void refused(const struct election_config *config, const char *field, const char *cure)
{
    struct error error = ERROR_NONE;
    enum err err = config_take(&settings, config, &error);
    fini();
    assert_true(err == EA_CONFIG || err == EA_INVALID);
    if (strncmp(error.text, field, strlen(field)) != 0 || strstr(error.text, cure) == NULL) {
        fail_msg("\"%s\" does not begin with %s or does not tell %s", error.text, field, cure);
    }
}

static void taken(const struct election_config *config)
{
    struct error error = ERROR_NONE;
    if (config_take(&settings, config, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
}

static void defaults_are_those_of_the_header(void **state)
{
    struct election_config config = good();
    taken(&config);
    assert_int_equal(settings.failover.ttl_ms, 3000);
    assert_int_equal(settings.failover.max_drift_ms, 1500);
    assert_int_equal(settings.failover.tick_ms, 500);
    assert_int_equal(settings.failover.close_timeout_ms, 5000);
    assert_int_equal(settings.failover.priority, 1);
    assert_string_equal(settings.prefix, "billing");
    assert_true(settings.own_loop);
    fini();
}

static void a_tick_left_open_follows_a_short_lease(void **state)
{
    struct election_config config = good();
    config.lease_ttl_ms = 100;
    taken(&config);
    assert_int_equal(settings.failover.max_drift_ms, 50);
    assert_int_equal(settings.failover.tick_ms, 16);
    fini();
}

static void servers_are_separated_by_commas_and_blanks_do_not_matter(void **state)
{
    struct election_config config = good();
    config.redis_urls = "redis://a, redis://b ,redis://c";
    taken(&config);
    assert_int_equal(settings.redis.n_urls, 3);
    assert_string_equal(settings.redis.urls[0], "redis://a");
    assert_string_equal(settings.redis.urls[1], "redis://b");
    assert_string_equal(settings.redis.urls[2], "redis://c");
    fini();
}

/* Sets `field` in `config`, a good one. */
#define REFUSED(field, value, begins, cure)  \
    do {                                     \
        config = good();                     \
        config.field = (value);              \
        refused(&config, begins ": ", cure); \
    } while (0)

static void every_wrong_text_is_refused_by_its_name_and_with_a_cure(void **state)
{
    char big[300];
    struct election_config config;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    REFUSED(size, 0, "size", "election_config_init()");
    REFUSED(size, 8, "size", "election_config_init()");
    REFUSED(size, sizeof config + 8, "size", "not be older");
    REFUSED(project, NULL, "project", "required");
    REFUSED(project, "", "project", "1 to 200");
    REFUSED(project, "a\nb", "project", "without control characters");
    REFUSED(project, "\xC3", "project", "UTF-8");
    REFUSED(project, big, "project", "1 to 200");
    REFUSED(project, big + sizeof big - 202, "project", "201 bytes; 1 to 200");
    REFUSED(node_id, "", "node_id", "1 to 253");
    REFUSED(node_id, big, "node_id", "1 to 253");
    REFUSED(node_id, "a\tb", "node_id", "without control characters");
    REFUSED(redis_urls, NULL, "redis_urls", "redis://");
    REFUSED(redis_urls, "", "redis_urls", "redis://");
    REFUSED(redis_urls, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "redis_urls", "3 or 5 are usual");
    REFUSED(redis_prefix, "", "redis_prefix", "1 to 200");
    REFUSED(redis_prefix, big, "redis_prefix", "1 to 200");
    REFUSED(redis_prefix, "\x7F", "redis_prefix", "without control characters");
    REFUSED(redis_tls_cert, "/x", "redis_tls_key", "go together");
    REFUSED(redis_tls_key, "/x", "redis_tls_cert", "go together");
    REFUSED(agent, "localhost:1", "agent", "leave it NULL");
    REFUSED(on_start, NULL, "on_start", "required");
}

static void every_wrong_number_is_refused_by_its_name_and_with_its_range(void **state)
{
    struct election_config config;
    REFUSED(node_priority, -1, "node_priority", "1 to 1000000");
    REFUSED(node_priority, 1000001, "node_priority", "1 to 1000000");
    REFUSED(strategy, (enum election_strategy)2, "strategy", "ELECTION_RACE or ELECTION_PRIORITY");
    REFUSED(redis_mode, (enum election_redis_mode)3, "redis_mode", "ELECTION_REDIS_CLUSTER");
    REFUSED(redis_layout, (enum election_redis_layout)2, "redis_layout", "ELECTION_REDIS_KIND");
    REFUSED(lease_ttl_ms, 99, "lease_ttl_ms", "100 to 3600000");
    REFUSED(lease_ttl_ms, -1, "lease_ttl_ms", "100 to 3600000");
    REFUSED(lease_ttl_ms, 3600001, "lease_ttl_ms", "100 to 3600000");
    REFUSED(lease_ttl_ms, INT64_MAX, "lease_ttl_ms", "100 to 3600000");
    REFUSED(max_drift_ms, 19, "max_drift_ms", "20 to 2700");
    REFUSED(max_drift_ms, 2701, "max_drift_ms", "20 to 2700");
    REFUSED(max_drift_ms, -1, "max_drift_ms", "20 to 2700");
    REFUSED(tick_interval_ms, 9, "tick_interval_ms", "10 to 750");
    REFUSED(tick_interval_ms, 751, "tick_interval_ms", "10 to 750");
    REFUSED(fail_back_delay_ms, -1, "fail_back_delay_ms", "0 to 86400000");
    REFUSED(fail_back_delay_ms, 86400001, "fail_back_delay_ms", "0 to 86400000");
    REFUSED(min_tenure_ms, -1, "min_tenure_ms", "0 to 86400000");
    REFUSED(min_tenure_ms, 86400001, "min_tenure_ms", "0 to 86400000");
    REFUSED(close_timeout_ms, -1, "close_timeout_ms", "1 to 86400000");
    REFUSED(close_timeout_ms, 86400001, "close_timeout_ms", "1 to 86400000");
    REFUSED(loop, (enum election_loop)2, "loop", "ELECTION_LOOP_THREAD or ELECTION_LOOP_PROGRAM");
    REFUSED(log_level, (enum election_level)4, "log_level", "ELECTION_DEBUG to ELECTION_ERROR");
}

/* What is right at the edge, so that the edges are those that the messages tell. */
static void the_edges_themselves_are_taken(void **state)
{
    struct election_config config = good();
    config.node_priority = 1000000;
    config.lease_ttl_ms = 100;
    config.max_drift_ms = 20;
    config.tick_interval_ms = 10;
    config.close_timeout_ms = 1;
    taken(&config);
    fini();
    config.lease_ttl_ms = 3600000;
    config.max_drift_ms = 3240000;
    config.tick_interval_ms = 1620000;
    config.fail_back_delay_ms = 86400000;
    config.min_tenure_ms = 86400000;
    config.close_timeout_ms = 86400000;
    config.redis_urls = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15";
    taken(&config);
    assert_int_equal(settings.redis.n_urls, 15);
    fini();
}

/* The store keeps keys of its own beside the leases. */
static void a_project_whose_key_would_be_another_is_refused(void **state)
{
    struct election_config config;
    REFUSED(project, "tenure/x", "project", "\"tenure/\"");
    REFUSED(project, "info/x", "project", "ELECTION_REDIS_KIND");
    config = good();
    config.project = "tenure/x";
    config.redis_layout = ELECTION_REDIS_KIND;
    taken(&config);
    fini();
    config = good();
    config.redis_mode = ELECTION_REDIS_CLUSTER;
    config.project = "}";
    refused(&config, "project: ", "must not begin with }");
    config.project = "a{b";
    refused(&config, "redis_prefix: ", "unless it is set");
    config.redis_prefix = "a";
    taken(&config);
    fini();
    config.redis_prefix = "{a";
    refused(&config, "redis_prefix: ", "must not contain {");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_header),
        cmocka_unit_test(a_tick_left_open_follows_a_short_lease),
        cmocka_unit_test(servers_are_separated_by_commas_and_blanks_do_not_matter),
        cmocka_unit_test(every_wrong_text_is_refused_by_its_name_and_with_a_cure),
        cmocka_unit_test(every_wrong_number_is_refused_by_its_name_and_with_its_range),
        cmocka_unit_test(the_edges_themselves_are_taken),
        cmocka_unit_test(a_project_whose_key_would_be_another_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
