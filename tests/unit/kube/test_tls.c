/* TLS to the test API server: who is believed, and as whom we come. */
#include "rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define EC     "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "

static char pki[64];

/* ca, other-ca; server (name api.test only) and expired; client, and a key that is not its own. */
static const char make_pki[] =
    "set -e; cd %s; exec 2>log\n"
    "for n in ca other-ca; do openssl req -x509 " EC "-days 2 -subj /CN=$n -keyout $n.key -out $n.crt; done\n"
    "for n in server expired client; do\n"
    "  openssl req " EC "-subj /O=testers/CN=$n -keyout $n.key -out $n.csr\n"
    "  [ $n = client ] && echo extendedKeyUsage=clientAuth >ext || echo subjectAltName=DNS:api.test >ext\n"
    "  [ $n = expired ] && days=-1 || days=2\n"
    "  openssl x509 -req -in $n.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days $days -extfile ext -out "
    "$n.crt\n"
    "done\n";

static int make(void **state)
{
    char script[sizeof make_pki + sizeof pki];
    (void)snprintf(pki, sizeof pki, "/tmp/election-pki-XXXXXX");
    if (mkdtemp(pki) == NULL) {
        return -1;
    }
    (void)snprintf(script, sizeof script, make_pki, pki);
    return system(script);
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

static int unmake(void **state)
{
    return nftw(pki, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *file(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", pki, name);
    return path;
}

/* The file's base64, by which a kubeconfig carries it. */
static char *data(const char *name)
{
    char command[160];
    static char text[4][4096];
    static unsigned turn;
    char *out = text[turn++ % 4];
    (void)snprintf(command, sizeof command, "base64 -w0 %s", file(name));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(out, sizeof text[0], pipe));
    assert_int_equal(pclose(pipe), 0);
    return out;
}

static struct rig *begin(const char *server, const char *client_ca)
{
    char cert[16];
    char key[16];
    struct rig *rig = mem_zalloc(sizeof *rig);
    (void)snprintf(cert, sizeof cert, "%s.crt", server);
    (void)snprintf(key, sizeof key, "%s.key", server);
    const char *const arguments[] = {"--tls-cert",
                                     file(cert),
                                     "--tls-key",
                                     file(key),
                                     "--ca",
                                     file("ca.crt"),
                                     client_ca != NULL ? "--client-ca" : NULL,
                                     client_ca,
                                     NULL};
    rig_init(rig, arguments);
    return rig;
}

static void end(struct rig *rig)
{
    rig_fini(rig);
    mem_free(rig);
}

/* Asks once, with this in the cluster and the user of the kubeconfig. */
static struct rig_answer ask(struct rig *rig, const char *cluster, const char *user)
{
    static char text[16384];
    (void)snprintf(text, sizeof text,
                   "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                   "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:%u', %s}}]\nusers: [{name: u, "
                   "user: {%s}}]\n",
                   rig->port, cluster, user);
    rig_reopen(rig, text);
    return rig_ask(rig, KUBE_GET, LEASES, NULL);
}

static void expect_refused(struct rig *rig, const char *cluster, const char *user, const char *words)
{
    rig->once = true;
    struct rig_answer answer = ask(rig, cluster, user);
    rig->once = false;
    if (answer.err != EA_IO || answer.status != 0 || strstr(answer.error, words) == NULL) {
        fail_msg("%s, %s: %s", cluster, user, answer.error);
    }
}

static void only_the_right_authority_and_name_are_believed(void **state)
{
    struct rig *rig = begin("server", NULL);
    char cluster[8192];
    (void)snprintf(cluster, sizeof cluster, "tls-server-name: api.test, certificate-authority: %s",
                   file("ca.crt"));
    assert_int_equal(ask(rig, cluster, "").err, EA_OK);
    (void)snprintf(cluster, sizeof cluster, "tls-server-name: api.test, certificate-authority-data: %s",
                   data("ca.crt"));
    assert_int_equal(ask(rig, cluster, "").err, EA_OK);
    (void)snprintf(cluster, sizeof cluster, "tls-server-name: api.test, certificate-authority: %s",
                   file("other-ca.crt"));
    expect_refused(rig, cluster, "", "certificate");
    expect_refused(rig, "tls-server-name: api.test", "", "certificate"); /* the system's authorities */
    (void)snprintf(cluster, sizeof cluster, "certificate-authority: %s", file("ca.crt"));
    expect_refused(rig, cluster, "", "127.0.0.1");
    assert_int_equal(ask(rig, "insecure-skip-tls-verify: true", "").err, EA_OK);
    end(rig);
}

static void an_expired_certificate_is_refused_unless_nobody_looks(void **state)
{
    struct rig *rig = begin("expired", NULL);
    char cluster[512];
    (void)snprintf(cluster, sizeof cluster, "tls-server-name: api.test, certificate-authority: %s",
                   file("ca.crt"));
    expect_refused(rig, cluster, "", "expired");
    assert_int_equal(ask(rig, "insecure-skip-tls-verify: true", "").err, EA_OK);
    end(rig);
}

static void a_client_certificate_says_who_we_are(void **state)
{
    struct rig *rig = begin("server", file("ca.crt"));
    const char *cluster = "insecure-skip-tls-verify: true";
    static char user[12288];
    assert_int_equal(ask(rig, cluster, "").err, EA_UNAUTHENTICATED);
    (void)snprintf(user, sizeof user, "client-certificate: %s, client-key: %s", file("client.crt"),
                   file("client.key"));
    assert_int_equal(ask(rig, cluster, user).err, EA_OK);
    (void)snprintf(user, sizeof user, "client-certificate-data: %s, client-key-data: %s", data("client.crt"),
                   data("client.key"));
    assert_int_equal(ask(rig, cluster, user).err, EA_OK);
    (void)snprintf(user, sizeof user, "client-certificate: %s, client-key: %s", file("client.crt"),
                   file("server.key"));
    expect_refused(rig, cluster, user, "private key");
    (void)snprintf(user, sizeof user, "client-certificate: %s, client-key: /no/such/key", file("client.crt"));
    expect_refused(rig, cluster, user, "/no/such/key");
    end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_right_authority_and_name_are_believed),
        cmocka_unit_test(an_expired_certificate_is_refused_unless_nobody_looks),
        cmocka_unit_test(a_client_certificate_says_who_we_are),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
