/* What is TLS's own; what it shares with the other streams is in test_stream.c. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/memstream.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct end a;
    struct end b;
    char a_failure[128];
    char b_failure[128];
};

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

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.seed = 7};

    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct end *ends[] = {&f->a, &f->b};

    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->stream != NULL) {
            end_abort(ends[i]);
        }
    }
    settle(f->loop);
    loop_free(f->loop);
    buf_fini(&f->a.got);
    buf_fini(&f->b.got);
    free(f);
    return 0;
}

static struct tls_options server_options(void)
{
    return (struct tls_options){
        .server = true, .cert_file = certificates.server, .key_file = certificates.server_key};
}

static struct tls_options client_options(void)
{
    return (struct tls_options){.ca_file = certificates.ca};
}

static void keep_failure(struct end *end)
{
    (void)snprintf(end->user, 128, "%s", tls_stream_failure(end->stream));
}

/* Connects both over memory and starts them. */
static void meet(struct fixture *f, const struct tls_options *client, const struct tls_options *server,
                 const char *name)
{
    struct tls_context *contexts[2];
    struct stream *a;
    struct stream *b;

    assert_int_equal(tls_context_new(&contexts[0], client, NULL), EA_OK);
    assert_int_equal(tls_context_new(&contexts[1], server, NULL), EA_OK);
    memstream_pair(f->loop, NULL, &a, &b);
    a = tls_stream(a, contexts[0], str_of(name));
    b = tls_stream(b, contexts[1], STR(""));
    tls_context_release(contexts[0]); /* the streams hold them */
    tls_context_release(contexts[1]);
    f->a.user = f->a_failure;
    f->b.user = f->b_failure;
    f->a.do_closed = keep_failure;
    f->b.do_closed = keep_failure;
    end_start(&f->a, a);
    end_start(&f->b, b);
}

static void expect_words(struct fixture *f)
{
    end_write(&f->a, "words", 5);
    settle(f->loop);
    assert_int_equal(f->b.got.n, 5);
    assert_memory_equal(f->b.got.p, "words", 5);
}

/* --- names and protocols --- */

static void the_server_chooses_among_what_both_speak(void **state)
{
    static const struct {
        const char *client[3];
        const char *server[3];
        const char *chosen;
    } cases[] = {
        {{"http/1.1", "h2"}, {"h2", "http/1.1"}, "h2"},
        {{"http/1.1"}, {"h2", "http/1.1"}, "http/1.1"},
        {{"h2"}, {NULL}, ""},
        {{NULL}, {"h2"}, ""},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct tls_options client = client_options();
        struct tls_options server = server_options();
        struct fixture *f;

        (void)setup((void **)&f);
        memcpy(client.alpn, cases[i].client, sizeof client.alpn);
        memcpy(server.alpn, cases[i].server, sizeof server.alpn);
        meet(f, &client, &server, "localhost");
        expect_words(f);
        assert_true(str_eq(stream_alpn(f->a.stream), str_of(cases[i].chosen)));
        assert_true(str_eq(stream_alpn(f->b.stream), str_of(cases[i].chosen)));
        (void)teardown((void **)&f);
    }
}

static void who_speaks_only_other_protocols_is_told_so(void **state)
{
    struct fixture *f = *state;
    struct tls_options client = client_options();
    struct tls_options server = server_options();

    client.alpn[0] = "ftp";
    server.alpn[0] = "h2";
    meet(f, &client, &server, "localhost");
    settle(f->loop);
    assert_int_equal(f->a.why, EA_PROTOCOL);
    assert_non_null(strstr(f->a_failure, "no application protocol"));
    assert_int_equal(f->b.why, EA_PROTOCOL);
}

static void an_address_is_verified_as_an_address(void **state)
{
    struct fixture *f = *state;
    struct tls_options client = client_options();
    struct tls_options server = server_options();

    meet(f, &client, &server, "127.0.0.1");
    expect_words(f);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    static const char *const names[] = {"example.com", "127.0.0.2", ""};

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct tls_options client = client_options();
        struct tls_options server = server_options();
        struct fixture *f;

        (void)setup((void **)&f);
        meet(f, &client, &server, names[i]);
        settle(f->loop);
        assert_int_equal(f->a.closes, 1);
        assert_int_equal(f->a.why, EA_UNAUTHENTICATED);
        assert_non_null(strstr(f->a_failure, "mismatch"));
        assert_int_equal(f->b.closes, 1);
        assert_int_equal(f->b.got.n, 0);
        (void)teardown((void **)&f);
    }
}

static void an_unknown_authority_is_refused_by_the_client(void **state)
{
    struct fixture *f = *state;
    struct tls_options client = client_options();
    struct tls_options server = server_options();

    client.ca_file = certificates.other;
    meet(f, &client, &server, "localhost");
    end_write(&f->a, "secret", 6);
    settle(f->loop);
    assert_int_equal(f->a.why, EA_UNAUTHENTICATED);
    assert_string_equal(f->a_failure, "unable to get local issuer certificate");
    assert_int_equal(f->b.why, EA_PROTOCOL);
    assert_non_null(strstr(f->b_failure, "unknown ca"));
    assert_int_equal(f->b.got.n, 0);
}

/* --- clients' certificates --- */

static void a_client_with_a_certificate_of_the_authority_is_let_in(void **state)
{
    struct fixture *f = *state;
    struct tls_options client = client_options();
    struct tls_options server = server_options();

    server.ca_file = certificates.ca;
    client.cert_file = certificates.client;
    client.key_file = certificates.client_key;
    meet(f, &client, &server, "localhost");
    expect_words(f);
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_options client = client_options();
    struct tls_options server = server_options();

    server.ca_file = certificates.ca;
    meet(f, &client, &server, "localhost");
    end_write(&f->a, "let me in", 9);
    settle(f->loop);
    assert_int_equal(f->b.closes, 1);
    assert_int_equal(f->b.got.n, 0);
    assert_string_equal(f->b_failure, "peer did not return a certificate");
    assert_int_equal(f->a.closes, 1);
    assert_non_null(strstr(f->a_failure, "certificate required"));
}

static void a_client_with_a_foreign_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_options client = client_options();
    struct tls_options server = server_options();

    server.ca_file = certificates.other;
    client.cert_file = certificates.client;
    client.key_file = certificates.client_key;
    meet(f, &client, &server, "localhost");
    end_write(&f->a, "let me in", 9);
    settle(f->loop);
    assert_int_equal(f->b.why, EA_UNAUTHENTICATED);
    assert_int_equal(f->b.got.n, 0);
    assert_int_equal(f->a.closes, 1);
}

/* --- a peer that speaks raw bytes --- */

static void meet_raw(struct fixture *f)
{
    struct tls_options options = server_options();
    struct tls_context *context;
    struct stream *a;
    struct stream *b;

    assert_int_equal(tls_context_new(&context, &options, NULL), EA_OK);
    memstream_pair(f->loop, NULL, &a, &b);
    b = tls_stream(b, context, STR(""));
    tls_context_release(context);
    f->b.user = f->b_failure;
    f->b.do_closed = keep_failure;
    end_start_without_end(&f->a, a);
    end_start(&f->b, b);
}

static void plain_text_on_a_tls_port_ends_the_connection(void **state)
{
    struct fixture *f = *state;

    meet_raw(f);
    end_write(&f->a, "GET / HTTP/1.1\r\nhost: x\r\n\r\n", 27);
    settle(f->loop);
    assert_int_equal(f->b.why, EA_PROTOCOL);
    assert_string_equal(f->b_failure, "http request");
    assert_int_equal(f->a.closes, 1);
}

static void a_peer_that_leaves_during_the_handshake_is_closed(void **state)
{
    struct fixture *f = *state;

    meet_raw(f);
    end_write(&f->a, "\x16\x03\x01", 3);
    end_close(&f->a);
    settle(f->loop);
    assert_int_equal(f->b.why, EA_CLOSED);
    assert_string_equal(f->b_failure, "the peer closed the connection during the handshake");
}

static void closed_during_the_handshake_the_peer_is_not_waited_for(void **state)
{
    struct fixture *f = *state;

    meet_raw(f);
    settle(f->loop);
    end_close(&f->b);
    settle(f->loop);
    assert_int_equal(f->b.closes, 1);
    assert_int_equal(f->b.why, EA_OK);
}

static void output_that_waits_for_a_handshake_that_never_comes_is_given_up_after_close(void **state)
{
    struct fixture *f = *state;

    meet_raw(f);
    end_write(&f->b, "early", 5);
    end_close(&f->b);
    settle(f->loop);
    assert_int_equal(f->b.closes, 0);
    clock_fake_advance_us(&f->clock, 10000000);
    settle(f->loop);
    assert_int_equal(f->b.why, EA_TIMEOUT);
}

/* Passes bytes between two ends, so that a test can cut or change them. */
struct wire {
    struct end left;
    struct end right;
    bool spoil; /* the next bytes to the right */
};

static void to_right(struct end *end, const uint8_t *bytes, size_t n)
{
    struct wire *wire = end->user;
    uint8_t *copy = malloc(n);

    memcpy(copy, bytes, n);
    if (wire->spoil) {
        copy[n / 2] ^= 1;
        wire->spoil = false;
    }
    end_write(&wire->right, copy, n);
    free(copy);
}

static void to_left(struct end *end, const uint8_t *bytes, size_t n)
{
    struct wire *wire = end->user;

    end_write(&wire->left, bytes, n);
}

static void meet_by_wire(struct fixture *f, struct wire *wire)
{
    struct tls_options client = client_options();
    struct tls_options server = server_options();
    struct tls_context *contexts[2];
    struct stream *a[2];
    struct stream *b[2];

    assert_int_equal(tls_context_new(&contexts[0], &client, NULL), EA_OK);
    assert_int_equal(tls_context_new(&contexts[1], &server, NULL), EA_OK);
    memstream_pair(f->loop, NULL, &a[0], &a[1]);
    memstream_pair(f->loop, NULL, &b[0], &b[1]);
    f->b.user = f->b_failure;
    f->b.do_closed = keep_failure;
    end_start(&f->a, tls_stream(a[0], contexts[0], STR("localhost")));
    end_start(&f->b, tls_stream(b[1], contexts[1], STR("")));
    tls_context_release(contexts[0]);
    tls_context_release(contexts[1]);
    *wire = (struct wire){.left = {.do_data = to_right, .user = wire},
                          .right = {.do_data = to_left, .user = wire}};
    end_start_without_end(&wire->left, a[1]);
    end_start_without_end(&wire->right, b[0]);
    expect_words(f);
}

static void wire_fini(struct fixture *f, struct wire *wire)
{
    if (wire->left.stream != NULL) {
        end_abort(&wire->left);
    }
    if (wire->right.stream != NULL) {
        end_abort(&wire->right);
    }
    settle(f->loop);
    buf_fini(&wire->left.got);
    buf_fini(&wire->right.got);
}

static void a_connection_cut_off_without_close_notify_is_no_clean_end(void **state)
{
    struct fixture *f = *state;
    struct wire wire;

    meet_by_wire(f, &wire);
    end_close(&wire.right);
    settle(f->loop);
    assert_int_equal(f->b.ends, 0);
    assert_int_equal(f->b.why, EA_CLOSED);
    assert_string_equal(f->b_failure, "the peer closed the connection without close_notify");
    wire_fini(f, &wire);
}

static void a_changed_byte_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    struct wire wire;

    meet_by_wire(f, &wire);
    wire.spoil = true;
    end_write(&f->a, "a message of some length", 24);
    settle(f->loop);
    assert_int_equal(f->b.got.n, 5);
    assert_int_equal(f->b.why, EA_PROTOCOL);
    assert_string_equal(f->b_failure, "decryption failed or bad record mac");
    wire_fini(f, &wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(the_server_chooses_among_what_both_speak),
        T(who_speaks_only_other_protocols_is_told_so),
        T(an_address_is_verified_as_an_address),
        cmocka_unit_test(a_certificate_for_another_name_is_refused),
        T(an_unknown_authority_is_refused_by_the_client),
        T(a_client_with_a_certificate_of_the_authority_is_let_in),
        T(a_client_without_a_certificate_is_refused),
        T(a_client_with_a_foreign_certificate_is_refused),
        T(plain_text_on_a_tls_port_ends_the_connection),
        T(a_peer_that_leaves_during_the_handshake_is_closed),
        T(closed_during_the_handshake_the_peer_is_not_waited_for),
        T(output_that_waits_for_a_handshake_that_never_comes_is_given_up_after_close),
        T(a_connection_cut_off_without_close_notify_is_no_clean_end),
        T(a_changed_byte_ends_the_connection),
#undef T
    };

    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
