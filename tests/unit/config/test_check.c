#include "support.h"

static const char *const in_cluster[] = {"KUBERNETES_SERVICE_HOST=10.0.0.1", NULL};

static void stores_of_other_builds_are_refused_clearly(void **state)
{
    expect_error("--driver: redis is not part of this build; available: embedded",
                 .flags = LIST("--driver=redis"));
    expect_error("EA_DRIVER: redis is not part of this build; available: embedded, memory",
                 .env = LIST("EA_DRIVER=rueidis"), .drivers = LIST("embedded", "memory"));
    expect_error("--driver: etcd is not part of this build; available: embedded",
                 .flags = LIST("--driver=etcd"));
    expect_error("--driver: kubernetes is not part of this build; available: embedded",
                 .flags = LIST("--driver=kubernetes"));
    expect_error("--driver: \"floppy\\\"\" is no store; available: embedded",
                 .flags = LIST("--driver=floppy\""));
}

static void naming_redis_nodes_chooses_the_redis_store(void **state)
{
    const char *words =
        "driver (because EA_REDIS_URLS is set): redis is not part of this build; available: embedded";
    expect_error(words, .env = LIST("EA_REDIS_URLS=redis://a"));
    expect_error(words, .dotenv = "EA_REDIS_URLS=redis://a");
    expect_error(words, .yaml = "redis:\n  urls: [redis://a]\n");
    struct loaded l;
    expect_loaded(&l, .env = LIST("EA_REDIS_URLS=redis://a"), .drivers = LIST("embedded", "redis"));
    assert_string_equal(l.config->driver, "redis");
    assert_string_equal(l.config->redis_urls.items[0], "redis://a");
    loaded_fini(&l);
    expect_loaded(&l, .env = LIST("EA_REDIS_URLS=redis://a"), .flags = LIST("--driver=embedded"));
    assert_true(warned(&l, "redis.urls is set, but another driver is used\n"));
    loaded_fini(&l);
    expect_loaded(&l, .env = LIST("EA_REDIS_URLS="));
    assert_string_equal(l.config->driver, "embedded");
    loaded_fini(&l);
}

static void what_redis_needs_is_asked_for(void **state)
{
    expect_error("driver redis needs redis.urls (EA_REDIS_URLS)", .flags = LIST("--driver=redis"),
                 .drivers = LIST("embedded", "redis"));
    expect_error(
        "redis.urls: 2 nodes: the number must be odd (1, 3, 5, ...), since an even one bears no more "
        "failures than one less",
        .env = LIST("EA_REDIS_URLS=redis://a,redis://b"), .drivers = LIST("embedded", "redis"));
    expect_error("redis.tls.cert and redis.tls.key belong together: set both or none",
                 .env = LIST("EA_REDIS_URLS=redis://a", "EA_REDIS_TLS_CERT=/a"),
                 .drivers = LIST("embedded", "redis"));
}

static void the_two_names_of_the_prefix_agree(void **state)
{
    struct loaded l;
    expect_error("EA_KEY_PREFIX and EA_REDIS_PREFIX mean the same and differ: set one of them",
                 .env = LIST("EA_KEY_PREFIX=a", "EA_REDIS_PREFIX=b"));
    expect_loaded(&l, .env = LIST("EA_REDIS_PREFIX=b"));
    assert_string_equal(l.config->key_prefix, "b");
    loaded_fini(&l);
    expect_loaded(&l, .env = LIST("EA_KEY_PREFIX=a", "EA_REDIS_PREFIX=a"));
    assert_string_equal(l.config->key_prefix, "a");
    loaded_fini(&l);
}

static void passwords_in_urls_are_not_printed(void **state)
{
    struct loaded l;
    struct buf text = BUF_EMPTY;
    expect_loaded(&l, .env = LIST("EA_REDIS_URLS=redis://u:secret@a,redis://b:1,redis://:se@cret@c"),
                  .drivers = LIST("embedded", "redis"));
    config_print(l.config, &text);
    buf_add(&text, "", 1);
    assert_null(strstr(text.p, "secret"));
    assert_null(strstr(text.p, "cret"));
    assert_non_null(strstr(text.p, "redis://u:"));
    assert_non_null(strstr(text.p, "redis://b:1"));
    buf_fini(&text);
    loaded_fini(&l);
}

static void terms_are_in_order(void **state)
{
    expect_error("lease.min_term (2h) is longer than lease.max_term (1h)",
                 .flags = LIST("--lease.min_term=2h"));
    struct loaded l;
    expect_loaded(&l, .flags = LIST("--lease.min_term=1h"));
    assert_int_equal(l.config->lease_min_term_us, l.config->lease_max_term_us);
    loaded_fini(&l);
}

static void somebody_can_reach_the_agent(void **state)
{
    expect_error("grpc.enable and http.enable are both false: nobody could reach this agent",
                 .flags = LIST("--grpc.enable=no", "--http.enable=no"));
}

static void the_admin_port_is_its_own(void **state)
{
    expect_error("admin.port and grpc.port are both 443: admin.port must be its own",
                 .flags = LIST("--admin.port=443"));
    expect_error("admin.port and http.port are both 80: admin.port must be its own",
                 .flags = LIST("--admin.port=80"));
    struct loaded l;
    expect_loaded(&l, .flags = LIST("--admin.port=443", "--grpc.enable=false"));
    loaded_fini(&l);
    expect_loaded(&l, .flags = LIST("--admin.port=0", "--grpc.port=0", "--http.port=0"));
    loaded_fini(&l);
    expect_loaded(&l, .flags = LIST("--grpc.port=8000", "--http.port=8000"));
    loaded_fini(&l);
}

static void metrics_have_a_place_to_be_served_at(void **state)
{
    expect_error("metric.enable needs http.enable or admin.port to be served at",
                 .flags = LIST("--http.enable=false", "--metric.enable"));
    struct loaded l;
    expect_loaded(&l, .flags = LIST("--http.enable=false"));
    assert_false(l.config->metric_enable);
    assert_true(warned(&l, "no metrics are served"));
    loaded_fini(&l);
    expect_loaded(&l, .flags = LIST("--http.enable=false", "--admin.port=9000", "--metric.enable"));
    assert_true(l.config->metric_enable);
    loaded_fini(&l);
}

static void without_a_cluster_there_is_a_warning(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = NULL);
    assert_true(warned(&l, "kube.enable: no cluster configuration"));
    loaded_fini(&l);
    expect_loaded(&l, .env = in_cluster);
    assert_int_equal(l.warnings.n, 0);
    loaded_fini(&l);
    expect_loaded(&l, .flags = LIST("--kube.enable=false"));
    assert_int_equal(l.warnings.n, 0);
    loaded_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_of_other_builds_are_refused_clearly),
        cmocka_unit_test(naming_redis_nodes_chooses_the_redis_store),
        cmocka_unit_test(what_redis_needs_is_asked_for),
        cmocka_unit_test(the_two_names_of_the_prefix_agree),
        cmocka_unit_test(passwords_in_urls_are_not_printed),
        cmocka_unit_test(terms_are_in_order),
        cmocka_unit_test(somebody_can_reach_the_agent),
        cmocka_unit_test(the_admin_port_is_its_own),
        cmocka_unit_test(metrics_have_a_place_to_be_served_at),
        cmocka_unit_test(without_a_cluster_there_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
