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

static void refused(const struct election_config *config, const char *field)
{
    struct error error = ERROR_NONE;
    enum err err = config_take(&settings, config, &error);
    fini();
    assert_true(err == EA_CONFIG || err == EA_INVALID);
    if (strncmp(error.text, field, strlen(field)) != 0) {
        fail_msg("\"%s\" does not begin with %s", error.text, field);
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

static void every_wrong_value_is_refused_by_its_name(void **state)
{
    char big[300];
    struct election_config config;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
#define REFUSED(field, value, begins) \
    do {                              \
        config = good();              \
        config.field = (value);       \
        refused(&config, begins);     \
    } while (0)
    REFUSED(size, 8, "size");
    REFUSED(size, sizeof config + 8, "size");
    REFUSED(project, NULL, "project");
    REFUSED(project, "", "project");
    REFUSED(project, "a\nb", "project");
    REFUSED(project, big, "project");
    REFUSED(node_id, "", "node_id");
    REFUSED(node_id, big, "node_id");
    REFUSED(node_priority, -1, "node_priority");
    REFUSED(node_priority, 1000001, "node_priority");
    REFUSED(strategy, (enum election_strategy)2, "strategy");
    REFUSED(redis_urls, NULL, "redis_urls");
    REFUSED(redis_urls, "", "redis_urls");
    REFUSED(redis_urls, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "redis_urls");
    REFUSED(redis_mode, (enum election_redis_mode)3, "redis_mode");
    REFUSED(redis_layout, (enum election_redis_layout)2, "redis_layout");
    REFUSED(redis_prefix, "", "redis_prefix");
    REFUSED(redis_tls_cert, "/x", "redis_tls_key");
    REFUSED(redis_tls_key, "/x", "redis_tls_cert");
    REFUSED(agent, "localhost:1", "agent");
    REFUSED(lease_ttl_ms, 99, "lease_ttl_ms");
    REFUSED(lease_ttl_ms, 3600001, "lease_ttl_ms");
    REFUSED(max_drift_ms, 2701, "max_drift_ms");
    REFUSED(max_drift_ms, -1, "max_drift_ms");
    REFUSED(tick_interval_ms, 9, "tick_interval_ms");
    REFUSED(tick_interval_ms, 751, "tick_interval_ms");
    REFUSED(fail_back_delay_ms, -1, "fail_back_delay_ms");
    REFUSED(min_tenure_ms, -1, "min_tenure_ms");
    REFUSED(close_timeout_ms, -1, "close_timeout_ms");
    REFUSED(loop, (enum election_loop)2, "loop");
    REFUSED(on_start, NULL, "on_start");
    REFUSED(log_level, (enum election_level)4, "log_level");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_header),
        cmocka_unit_test(a_tick_left_open_follows_a_short_lease),
        cmocka_unit_test(servers_are_separated_by_commas_and_blanks_do_not_matter),
        cmocka_unit_test(every_wrong_value_is_refused_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
