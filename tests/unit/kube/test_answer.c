#include "rig.h"

#include <string.h>

#include "kube/internal.h"

static void statuses_mean_errors(void **state)
{
    static const struct {
        long status;
        enum err err;
        bool again;
    } rows[] = {{200, EA_OK, false},          {201, EA_OK, false},
                {400, EA_INVALID, false},     {401, EA_UNAUTHENTICATED, false},
                {403, EA_DENIED, false},      {404, EA_NOT_FOUND, false},
                {409, EA_HELD, false},        {410, EA_UNAVAILABLE, false},
                {429, EA_EXHAUSTED, true},    {500, EA_UNAVAILABLE, true},
                {501, EA_UNAVAILABLE, false}, {503, EA_UNAVAILABLE, true},
                {302, EA_UNAVAILABLE, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kube_verdict verdict = kube_judge(rows[i].status);
        assert_int_equal(verdict.err, rows[i].err);
        assert_int_equal(verdict.again, rows[i].again);
    }
}

static void the_servers_words_are_kept_but_printable(void **state)
{
    struct kube_request request = {.what = "list pods"};
    kube_explain(&request, EA_DENIED, 403,
                 STR("{\"message\":\"User \\\"bob\\\" cannot\\nlist\",\"reason\":\"Forbidden\"}"));
    assert_string_equal(request.error.text, "list pods: User \"bob\" cannot\\nlist");
    assert_string_equal(request.reason, "Forbidden");
    kube_explain(&request, EA_UNAVAILABLE, 502, STR("<html>bad gateway</html>"));
    assert_string_equal(request.error.text, "list pods: the API server answered 502");
}

static void pauses_grow_and_differ_and_obey(void **state)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (unsigned n = 1; n < 100; n++) {
        int64_t us = kube_pause_us(n, 0, &rng);
        assert_true(us >= 50000 && us <= 10000000);
        assert_true(n < 10 || us >= 5000000);
    }
    assert_int_equal(kube_pause_us(1, 7, &rng), 7000000);
    assert_int_equal(kube_pause_us(1, INT64_MAX, &rng), 60000000);
}

static void times_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {{"1970-01-01T00:00:00Z", 0},
                {"1970-01-01T00:00:01.5Z", 1500000},
                {"1970-01-01T01:00:00.000001+01:00", 1},
                {"2026-11-24T13:10:09.123456789Z", 1795525809123456}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wall t;
        assert_true(kube_time_parse(str_of(rows[i].text), &t));
        assert_int_equal(t.us, rows[i].us);
    }
    char text[KUBE_TIME_BYTES];
    kube_time_format((struct wall){1795525809123456}, text);
    assert_string_equal(text, "2026-11-24T13:10:09.123456Z");
    static const char *const wrong[] = {"",
                                        "2026-11-24",
                                        "2026-11-24T13:10:09",
                                        "2026-13-24T13:10:09Z",
                                        "2026-11-24T25:10:09Z",
                                        "2026-11-24T13:10:09+1:00",
                                        "2026-11-24T13:10:09Zx",
                                        "-026-11-24T13:10:09Z"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct wall t;
        assert_false(kube_time_parse(str_of(wrong[i]), &t));
    }
}

static enum err plugin(const char *json, struct kube_plugin_answer *out, struct error *error)
{
    return kube_plugin_read(str_of(json), "client.authentication.k8s.io/v1", (struct wall){0}, out, error);
}

static void a_plugins_answer_is_read(void **state)
{
    struct kube_plugin_answer out;
    struct error error = ERROR_NONE;
    assert_int_equal(
        plugin("{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":"
               "{\"token\":\"t\",\"expirationTimestamp\":\"1970-01-01T00:01:00Z\"}}",
               &out, &error),
        EA_OK);
    assert_int_equal(out.token.n, 1);
    assert_int_equal(out.left_us, 60000000);
    kube_plugin_answer_fini(&out);
}

static void a_plugins_nonsense_is_refused(void **state)
{
#define HEAD "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":"
    static const char *const rows[] = {
        "",
        "{}",
        "{\"apiVersion\":\"client.authentication.k8s.io/"
        "v1beta1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t\"}}",
        HEAD "{}}",
        HEAD "{\"token\":1}}",
        HEAD "{\"token\":\"a\\nb\"}}",
        HEAD "{\"clientCertificateData\":\"c\"}}",
        HEAD "{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kube_plugin_answer out;
        struct error error = ERROR_NONE;
        assert_int_equal(plugin(rows[i], &out, &error), EA_PROTOCOL);
        kube_plugin_answer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_mean_errors),
        cmocka_unit_test(the_servers_words_are_kept_but_printable),
        cmocka_unit_test(pauses_grow_and_differ_and_obey),
        cmocka_unit_test(times_are_read_and_written),
        cmocka_unit_test(a_plugins_answer_is_read),
        cmocka_unit_test(a_plugins_nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
