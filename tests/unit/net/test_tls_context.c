#include "support.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct certificates certificates;

static int setup_group(void **state)
{
    certificates_make(&certificates);
    return 0;
}

static int teardown_group(void **state)
{
    certificates_remove(&certificates);
    return 0;
}

static void good_files_make_a_context(void **state)
{
    struct tls_options options = {.server = true,
                                  .cert_file = certificates.server,
                                  .key_file = certificates.server_key,
                                  .ca_file = certificates.ca,
                                  .alpn = {"h2", "http/1.1"}};
    struct tls_context *context;

    assert_int_equal(tls_context_new(&context, &options, NULL), EA_OK);
    tls_context_release(context);
    options = (struct tls_options){.server = false}; /* trusts what the system trusts */
    assert_int_equal(tls_context_new(&context, &options, NULL), EA_OK);
    tls_context_release(context);
}

static void a_bad_file_is_named_with_the_reason(void **state)
{
    const char *const missing = "/nowhere/x.pem";
    const char *const cert = certificates.server;
    const char *const key = certificates.server_key;
    const struct {
        struct tls_options options;
        const char *text;
    } cases[] = {
        {{.server = true}, "a TLS server needs a certificate"},
        {{.server = true, .cert_file = cert}, "needs a key"},
        {{.server = true, .cert_file = missing, .key_file = key},
         "cannot use the certificate /nowhere/x.pem: No such file or directory"},
        {{.server = true, .cert_file = key, .key_file = key}, "server.key: no start line"},
        {{.server = true, .cert_file = cert, .key_file = missing},
         "cannot use the key /nowhere/x.pem: No such file or directory"},
        {{.server = true, .cert_file = cert, .key_file = certificates.client_key},
         "client.key: key values mismatch"},
        {{.server = true, .cert_file = cert, .key_file = key, .ca_file = missing},
         "cannot use the certificate authority /nowhere/x.pem: No such file or directory"},
        {{.server = false, .ca_file = key}, "cannot use the certificate authority"},
        {{.server = true, .cert_file = cert, .key_file = key, .alpn = {""}}, "unusable protocol name"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct tls_context *context;
        struct error error = ERROR_NONE;

        assert_int_equal(tls_context_new(&context, &cases[i].options, &error), EA_CONFIG);
        assert_null(context);
        if (strstr(error.text, cases[i].text) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_make_a_context),
        cmocka_unit_test(a_bad_file_is_named_with_the_reason),
    };

    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
