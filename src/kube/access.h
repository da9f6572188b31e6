/*
 * How the API server is reached and who we are there: from a pod's service account or a kubeconfig. Internal to kube/.
 * Reads files; what it reads is bounded.
 */
#ifndef EA_KUBE_ACCESS_H
#define EA_KUBE_ACCESS_H

#include "base/buf.h"
#include "kube/kube.h"

#define KUBE_FILE_BYTES_MAX  ((size_t)1024 * 1024)
#define KUBE_TOKEN_BYTES_MAX ((size_t)64 * 1024)
#define KUBE_EXEC_WORDS_MAX  64
#define KUBE_KUBECONFIGS_MAX 8

/* A credential plugin. */
struct kube_plugin {
    char *api_version;                    /* client.authentication.k8s.io/v1 or v1beta1 */
    char *words[KUBE_EXEC_WORDS_MAX + 2]; /* the command and its arguments, ended by NULL */
    char *env[KUBE_EXEC_WORDS_MAX + 1];   /* NAME=value, ended by NULL; over ours */
    bool cluster_info;                    /* provideClusterInfo */
};

/* Strings are the access's own; NULL where there is none. */
struct kube_access {
    char *server; /* http(s)://host[:port][/base], without a slash at its end */
    char *ns;
    char *proxy;
    char *server_name; /* that the certificate must have, if not the host's */
    bool insecure;     /* the certificate is not looked at */
    char *ca_file;
    struct buf ca; /* PEM; wins over the file, as all data here */
    char *cert_file;
    struct buf cert;
    char *key_file;
    struct buf key;
    char *token;
    char *token_file; /* wins over token; read again when it changes */
    char *user;       /* basic */
    char *password;
    struct kube_plugin *plugin;
};

/* See kube_open(). *access is zeroed first; fini also after an error. */
enum err kube_access_load(struct kube_access *access, const struct kube_options *options,
                          struct error *error) EA_MUST_CHECK;
void kube_access_fini(struct kube_access *access);

/* NULL if it is not set. */
const char *kube_env(const struct kube_options *options, const char *name);

/* The whole file; *out is the caller's. EA_NOT_FOUND; EA_TOO_LARGE; EA_IO. */
enum err kube_read_file(const char *path, size_t most, struct buf *out, struct error *error) EA_MUST_CHECK;

/* A terminated copy; mem_free() it. */
char *kube_text(struct str s);

/* Adds the bytes that the base64 text stands for; white space is skipped. False if it is none. */
bool kube_base64(struct str text, struct buf *out) EA_MUST_CHECK;

/* --- kubeconfig.c --- */

/* Texts of kubeconfig files in the order in which they win, and the directories that relative paths in them mean. */
struct kubeconfig_text {
    struct str text;
    const char *directory;
    const char *name; /* for messages */
};
/* Fills access from the current context. EA_CONFIG. */
enum err kubeconfig_read(struct kube_access *access, const struct kubeconfig_text *texts, size_t n,
                         struct error *error) EA_MUST_CHECK;

#endif
