#include "kube/access.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

extern char **environ;

/* --- helpers --- */

const char *kube_env(const struct kube_options *options, const char *name)
{
    const char *const *env = options->env != NULL ? options->env : (const char *const *)environ;
    size_t n = strlen(name);
    for (; env != NULL && *env != NULL; env++) {
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') {
            return *env + n + 1;
        }
    }
    return NULL;
}

static enum err read_all(int fd, const char *path, size_t most, struct buf *out, struct error *error)
{
    for (;;) {
        char *room = buf_reserve(out, 4096);
        ssize_t n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(error, EA_IO, errno, "cannot read %s", path);
        }
        if (n == 0) {
            return EA_OK;
        }
        out->n += (size_t)n;
        if (out->n > most) {
            return error_set(error, EA_TOO_LARGE, "%s is larger than %zu bytes", path, most);
        }
    }
}

enum err kube_read_file(const char *path, size_t most, struct buf *out, struct error *error)
{
    /* A named pipe must not hold the loop up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        enum err code = errno == ENOENT || errno == ENOTDIR ? EA_NOT_FOUND : EA_IO;
        return error_set_errno(error, code, errno, "cannot open %s", path);
    }
    struct stat stat;
    enum err err;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        err = error_set(error, EA_IO, "%s is no ordinary file", path);
    } else {
        err = read_all(fd, path, most, out, error);
    }
    (void)close(fd);
    return err;
}

bool kube_base64(struct str text, struct buf *out)
{
    struct buf packed = BUF_EMPTY;
    for (size_t i = 0; i < text.n; i++) {
        if (strchr(" \t\r\n", text.p[i]) == NULL || text.p[i] == '\0') {
            buf_add(&packed, &text.p[i], 1);
        }
    }
    size_t padding = 0;
    while (padding < 2 && padding < packed.n && packed.p[packed.n - 1 - padding] == '=') {
        padding++;
    }
    /* OpenSSL takes the sign of padding for a letter anywhere. */
    bool ok = packed.n > 0 && packed.n % 4 == 0 && memchr(packed.p, '=', packed.n - padding) == NULL;
    if (ok) {
        char *room = buf_reserve(out, packed.n / 4 * 3);
        int n = EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)packed.p, (int)packed.n);
        ok = n >= (int)padding;
        out->n += ok ? (size_t)n - padding : 0;
    }
    if (packed.n > 0) {
        OPENSSL_cleanse(packed.p, packed.n); /* it may be a key */
    }
    buf_fini(&packed);
    return ok;
}

char *kube_text(struct str s)
{
    char *copy = mem_alloc(s.n + 1);
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    copy[s.n] = '\0';
    return copy;
}

static char *joined(const char *directory, const char *name)
{
    struct buf path = BUF_EMPTY;
    buf_format(&path, "%s/%s", directory, name);
    buf_add(&path, "", 1);
    return path.p;
}

/* --- in a pod --- */

static bool is_port(const char *text)
{
    uint64_t port = 0;
    return str_to_u64(str_of(text), &port) && port > 0 && port <= UINT16_MAX;
}

static bool is_host(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              strchr(".-_:", c) != NULL)) {
            return false;
        }
    }
    return host.n > 0 && host.n <= KUBE_NAME_BYTES_MAX;
}

static enum err read_namespace(struct kube_access *access, const char *directory, struct error *error)
{
    char *path = joined(directory, "namespace");
    struct buf text = BUF_EMPTY;
    enum err err = kube_read_file(path, 4096, &text, error);
    if (err == EA_OK) {
        struct str name = str_trim(buf_str(&text));
        if (!is_host(name)) {
            err = error_set(error, EA_CONFIG, "%s holds no namespace", path);
        } else {
            access->ns = kube_text(name);
        }
    }
    buf_fini(&text);
    mem_free(path);
    return err;
}

static enum err load_in_cluster(struct kube_access *access, const struct kube_options *options,
                                struct error *error)
{
    const char *host = kube_env(options, "KUBERNETES_SERVICE_HOST");
    const char *port = kube_env(options, "KUBERNETES_SERVICE_PORT");
    const char *directory = kube_env(options, KUBE_SERVICE_ACCOUNT_VARIABLE);
    directory = directory != NULL && directory[0] != '\0' ? directory : KUBE_SERVICE_ACCOUNT;
    if (host == NULL || host[0] == '\0') {
        return error_set(error, EA_NOT_ENABLED, "KUBERNETES_SERVICE_HOST is not set");
    }
    if (!is_host(str_of(host)) || port == NULL || !is_port(port)) {
        return error_set(error, EA_CONFIG,
                         "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no address");
    }
    access->token_file = joined(directory, "token");
    access->ca_file = joined(directory, "ca.crt");
    struct buf token = BUF_EMPTY;
    enum err err = kube_read_file(access->token_file, KUBE_TOKEN_BYTES_MAX, &token, error);
    buf_fini(&token);
    if (err == EA_OK) {
        err = read_namespace(access, directory, error);
    }
    if (err != EA_OK) {
        enum err code = err == EA_NOT_FOUND ? EA_NOT_ENABLED : EA_CONFIG;
        (void)error_wrap(error, "the pod has no service account");
        if (error != NULL) {
            error->code = code;
        }
        return code;
    }
    struct buf server = BUF_EMPTY;
    buf_format(&server, strchr(host, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s", host, port);
    buf_add(&server, "", 1);
    access->server = server.p;
    return EA_OK;
}

/* --- kubeconfig files --- */

struct files {
    struct kubeconfig_text texts[KUBE_KUBECONFIGS_MAX];
    struct buf contents[KUBE_KUBECONFIGS_MAX];
    char *names[KUBE_KUBECONFIGS_MAX];
    char *directories[KUBE_KUBECONFIGS_MAX];
    size_t n;
};

static enum err add_file(struct files *files, struct str name, bool must_exist, struct error *error)
{
    if (files->n == KUBE_KUBECONFIGS_MAX) {
        return error_set(error, EA_CONFIG, "KUBECONFIG names more than %d files", KUBE_KUBECONFIGS_MAX);
    }
    size_t i = files->n;
    char *path = kube_text(name);
    enum err err = kube_read_file(path, KUBE_FILE_BYTES_MAX, &files->contents[i], error);
    if (err != EA_OK) {
        mem_free(path);
        buf_fini(&files->contents[i]);
        return err == EA_NOT_FOUND && !must_exist ? EA_OK : err;
    }
    const char *slash = strrchr(path, '/');
    files->names[i] = path;
    files->directories[i] = kube_text(slash != NULL ? str_from(path, (size_t)(slash - path)) : STR("."));
    files->texts[i] = (struct kubeconfig_text){buf_str(&files->contents[i]), files->directories[i], path};
    files->n++;
    return EA_OK;
}

static enum err add_listed(struct files *files, const char *list, struct error *error)
{
    struct str rest = str_of(list);
    struct str name;
    enum err err = EA_OK;
    while (err == EA_OK && str_split(&rest, ':', &name)) {
        if (name.n > 0) {
            err = add_file(files, name, false, error);
        }
    }
    return err;
}

static enum err load_kubeconfig(struct kube_access *access, const struct kube_options *options,
                                struct error *error)
{
    struct files files = {.n = 0};
    const char *list = kube_env(options, "KUBECONFIG");
    const char *home = kube_env(options, "HOME");
    const char *looked = options->kubeconfig;
    char *path = NULL;
    enum err err = EA_OK;
    if (options->kubeconfig != NULL) {
        err = add_file(&files, str_of(options->kubeconfig), true, error);
    } else if (list != NULL && list[0] != '\0') {
        looked = list;
        err = add_listed(&files, list, error);
    } else if (home != NULL && home[0] != '\0') {
        path = joined(home, ".kube/config");
        looked = path;
        err = add_file(&files, str_of(path), false, error);
    }
    if (err == EA_NOT_FOUND || (err == EA_OK && files.n == 0)) {
        err = error_set_str(error, EA_NOT_ENABLED, "there is no kubeconfig",
                            str_of(looked != NULL ? looked : "neither KUBECONFIG nor HOME is set"));
    } else if (err == EA_OK) {
        err = kubeconfig_read(access, files.texts, files.n, error);
    }
    for (size_t i = 0; i < files.n; i++) {
        OPENSSL_cleanse(files.contents[i].p, files.contents[i].n);
        buf_fini(&files.contents[i]);
        mem_free(files.names[i]);
        mem_free(files.directories[i]);
    }
    mem_free(path);
    return err;
}

/* --- */

enum err kube_access_load(struct kube_access *access, const struct kube_options *options, struct error *error)
{
    struct error first = ERROR_NONE;
    *access = (struct kube_access){.server = NULL};
    if (options->in_cluster) {
        enum err err = load_in_cluster(access, options, &first);
        if (err != EA_NOT_ENABLED || options->no_kubeconfig) {
            if (error != NULL && err != EA_OK) {
                *error = first;
            }
            return err;
        }
        kube_access_fini(access);
    }
    enum err err = load_kubeconfig(access, options, error);
    if (err == EA_NOT_ENABLED && options->in_cluster) {
        (void)error_wrap(error, "%s", first.text);
    }
    return err;
}

static void wipe(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        mem_free(text);
    }
}

static void wipe_buf(struct buf *buf)
{
    if (buf->p != NULL) {
        OPENSSL_cleanse(buf->p, buf->cap);
    }
    buf_fini(buf);
}

static void plugin_free(struct kube_plugin *plugin)
{
    for (size_t i = 0; plugin->words[i] != NULL; i++) {
        mem_free(plugin->words[i]);
    }
    for (size_t i = 0; plugin->env[i] != NULL; i++) {
        mem_free(plugin->env[i]);
    }
    mem_free(plugin->api_version);
    mem_free(plugin);
}

void kube_access_fini(struct kube_access *access)
{
    mem_free(access->server);
    mem_free(access->ns);
    mem_free(access->proxy);
    mem_free(access->server_name);
    mem_free(access->ca_file);
    mem_free(access->cert_file);
    mem_free(access->key_file);
    mem_free(access->token_file);
    mem_free(access->user);
    wipe(access->token);
    wipe(access->password);
    wipe_buf(&access->ca);
    wipe_buf(&access->cert);
    wipe_buf(&access->key);
    if (access->plugin != NULL) {
        plugin_free(access->plugin);
    }
    *access = (struct kube_access){.server = NULL};
}
