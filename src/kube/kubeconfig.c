/* Kubeconfig files: the current context's cluster and user. Deciding code but for what the texts say to read later. */
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "kube/access.h"

#define NODES_MAX 20000 /* of a document */

struct docs {
    yaml_document_t docs[KUBE_KUBECONFIGS_MAX];
    const struct kubeconfig_text *texts;
    size_t n;
};

/* A mapping in one of the documents; whose relative paths and messages belong to that file. */
struct map {
    yaml_document_t *doc;
    yaml_node_t *node;
    const struct kubeconfig_text *text;
};

/* --- reading YAML --- */

static struct str scalar(const yaml_node_t *node)
{
    return node != NULL && node->type == YAML_SCALAR_NODE
               ? str_from(node->data.scalar.value, node->data.scalar.length)
               : str_from(NULL, 0);
}

static yaml_node_t *child(yaml_document_t *doc, yaml_node_t *node, const char *key)
{
    if (node == NULL || node->type != YAML_MAPPING_NODE) {
        return NULL;
    }
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        if (str_eq(scalar(yaml_document_get_node(doc, p->key)), str_of(key))) {
            return yaml_document_get_node(doc, p->value);
        }
    }
    return NULL;
}

/* A text value: NULL when it is absent, empty or `null`. EA_CONFIG when it is no text, or one with control
 * characters, which could end a header line. */
static enum err get_text(const struct map *map, const char *key, char **out, struct error *error)
{
    yaml_node_t *node = child(map->doc, map->node, key);
    struct str s = scalar(node);
    *out = NULL;
    if (node == NULL) {
        return EA_OK;
    }
    bool plain = node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && (s.n == 0 || str_eq(s, STR("null")) || str_eq(s, STR("~")))) {
        return EA_OK;
    }
    if (node->type != YAML_SCALAR_NODE || !str_is_utf8(s) || str_has_control(s) ||
        s.n > KUBE_TOKEN_BYTES_MAX) {
        return error_set(error, EA_CONFIG, "%s: %s must be a line of text", map->text->name, key);
    }
    if (s.n > 0) {
        *out = kube_text(s);
    }
    return EA_OK;
}

static enum err get_path(const struct map *map, const char *key, char **out, struct error *error)
{
    enum err err = get_text(map, key, out, error);
    if (err == EA_OK && *out != NULL && (*out)[0] != '/') {
        struct buf path = BUF_EMPTY;
        buf_format(&path, "%s/%s", map->text->directory, *out);
        buf_add(&path, "", 1);
        mem_free(*out);
        *out = path.p;
    }
    return err;
}

static enum err get_data(const struct map *map, const char *key, struct buf *out, struct error *error)
{
    struct str s = scalar(child(map->doc, map->node, key));
    if (s.n > 0 && !kube_base64(s, out)) {
        return error_set(error, EA_CONFIG, "%s: %s is not base64", map->text->name, key);
    }
    return EA_OK;
}

static enum err get_bool(const struct map *map, const char *key, bool *out, struct error *error)
{
    char *text;
    enum err err = get_text(map, key, &text, error);
    *out = text != NULL && strcmp(text, "true") == 0;
    if (err == EA_OK && text != NULL && !*out && strcmp(text, "false") != 0) {
        err = error_set(error, EA_CONFIG, "%s: %s must be true or false", map->text->name, key);
    }
    mem_free(text);
    return err;
}

/* --- what the context names --- */

/* The first of `list` named `name`, in the order of the files: its mapping `inner`. */
static bool find(struct docs *docs, const char *list, struct str name, const char *inner, struct map *out)
{
    for (size_t i = 0; i < docs->n; i++) {
        yaml_document_t *doc = &docs->docs[i];
        yaml_node_t *all = child(doc, yaml_document_get_root_node(doc), list);
        if (all == NULL || all->type != YAML_SEQUENCE_NODE) {
            continue;
        }
        for (yaml_node_item_t *p = all->data.sequence.items.start; p < all->data.sequence.items.top; p++) {
            yaml_node_t *one = yaml_document_get_node(doc, *p);
            yaml_node_t *at = child(doc, one, inner);
            if (str_eq(scalar(child(doc, one, "name")), name) && at != NULL &&
                at->type == YAML_MAPPING_NODE) {
                *out = (struct map){doc, at, &docs->texts[i]};
                return true;
            }
        }
    }
    return false;
}

static enum err no_such(const char *what, struct str name, struct error *error)
{
    char words[64] = "the kubeconfig has no ";
    strncat(words, what, sizeof words - strlen(words) - 1);
    return error_set_str(error, EA_CONFIG, words, name);
}

static enum err check_server(struct kube_access *access, const struct map *map, struct error *error)
{
    struct str s = str_of(access->server);
    bool scheme = str_starts(s, STR("https://")) || str_starts(s, STR("http://"));
    if (!scheme || strpbrk(access->server, " \"\\#?@") != NULL) {
        return error_set_str(error, EA_CONFIG, "the kubeconfig's server is no URL", s);
    }
    while (s.n > 0 && s.p[s.n - 1] == '/') {
        access->server[--s.n] = '\0';
    }
    return EA_OK;
}

static enum err read_cluster(struct kube_access *access, const struct map *map, struct error *error)
{
    enum err err = get_text(map, "server", &access->server, error);
    if (err == EA_OK && access->server == NULL) {
        return error_set(error, EA_CONFIG, "%s: the cluster has no server", map->text->name);
    }
    if (err == EA_OK) {
        err = check_server(access, map, error);
    }
    if (err == EA_OK) {
        err = get_text(map, "proxy-url", &access->proxy, error);
    }
    if (err == EA_OK) {
        err = get_text(map, "tls-server-name", &access->server_name, error);
    }
    if (err == EA_OK) {
        err = get_bool(map, "insecure-skip-tls-verify", &access->insecure, error);
    }
    if (err == EA_OK) {
        err = get_path(map, "certificate-authority", &access->ca_file, error);
    }
    if (err == EA_OK) {
        err = get_data(map, "certificate-authority-data", &access->ca, error);
    }
    return err;
}

/* --- plugins --- */

static enum err add_args(struct kube_plugin *plugin, const struct map *map, struct error *error)
{
    yaml_node_t *args = child(map->doc, map->node, "args");
    size_t n = 1;
    if (args == NULL || args->type != YAML_SEQUENCE_NODE) {
        return EA_OK;
    }
    for (yaml_node_item_t *p = args->data.sequence.items.start; p < args->data.sequence.items.top; p++) {
        struct str word = scalar(yaml_document_get_node(map->doc, *p));
        if (n > KUBE_EXEC_WORDS_MAX || (word.n > 0 && memchr(word.p, '\0', word.n) != NULL)) {
            return error_set(error, EA_CONFIG, "%s: exec.args must be at most %d words", map->text->name,
                             KUBE_EXEC_WORDS_MAX);
        }
        plugin->words[n++] = kube_text(word);
    }
    return EA_OK;
}

static enum err add_env(struct kube_plugin *plugin, const struct map *map, struct error *error)
{
    yaml_node_t *env = child(map->doc, map->node, "env");
    size_t n = 0;
    if (env == NULL || env->type != YAML_SEQUENCE_NODE) {
        return EA_OK;
    }
    for (yaml_node_item_t *p = env->data.sequence.items.start; p < env->data.sequence.items.top; p++) {
        yaml_node_t *one = yaml_document_get_node(map->doc, *p);
        struct str name = scalar(child(map->doc, one, "name"));
        struct str value = scalar(child(map->doc, one, "value"));
        if (n == KUBE_EXEC_WORDS_MAX || name.n == 0 || memchr(name.p, '=', name.n) != NULL ||
            memchr(name.p, '\0', name.n) != NULL || (value.n > 0 && memchr(value.p, '\0', value.n) != NULL)) {
            return error_set(error, EA_CONFIG, "%s: exec.env must be at most %d pairs of name and value",
                             map->text->name, KUBE_EXEC_WORDS_MAX);
        }
        struct buf pair = BUF_EMPTY;
        buf_add_str(&pair, name);
        buf_add(&pair, "=", 1);
        buf_add_str(&pair, value);
        buf_add(&pair, "", 1);
        plugin->env[n++] = pair.p;
    }
    return EA_OK;
}

/* We have no terminal to lend. */
static enum err check_interactive(const struct map *map, struct error *error)
{
    char *mode;
    enum err err = get_text(map, "interactiveMode", &mode, error);
    if (err == EA_OK && mode != NULL && strcmp(mode, "Always") == 0) {
        err = error_set(error, EA_CONFIG, "%s: exec.interactiveMode Always wants a person at a terminal",
                        map->text->name);
    } else if (err == EA_OK && mode != NULL && strcmp(mode, "Never") != 0 &&
               strcmp(mode, "IfAvailable") != 0) {
        err = error_set(error, EA_CONFIG, "%s: exec.interactiveMode must be Never, IfAvailable or Always",
                        map->text->name);
    }
    mem_free(mode);
    return err;
}

static enum err read_plugin(struct kube_access *access, const struct map *user, struct error *error)
{
    struct map map = {user->doc, child(user->doc, user->node, "exec"), user->text};
    if (map.node == NULL || map.node->type != YAML_MAPPING_NODE) {
        return EA_OK;
    }
    struct kube_plugin *plugin = access->plugin = mem_zalloc(sizeof *plugin);
    enum err err = get_text(&map, "apiVersion", &plugin->api_version, error);
    if (err == EA_OK && (plugin->api_version == NULL ||
                         (strcmp(plugin->api_version, "client.authentication.k8s.io/v1") != 0 &&
                          strcmp(plugin->api_version, "client.authentication.k8s.io/v1beta1") != 0))) {
        err = error_set(error, EA_CONFIG,
                        "%s: exec.apiVersion must be client.authentication.k8s.io/v1 or v1beta1",
                        map.text->name);
    }
    if (err == EA_OK) {
        err = get_text(&map, "command", &plugin->words[0], error);
    }
    if (err == EA_OK && plugin->words[0] == NULL) {
        err = error_set(error, EA_CONFIG, "%s: exec has no command", map.text->name);
    }
    /* One with a path in it is relative to the file, a bare name is looked up in PATH. */
    if (err == EA_OK && plugin->words[0] != NULL && strchr(plugin->words[0], '/') != NULL) {
        mem_free(plugin->words[0]);
        err = get_path(&map, "command", &plugin->words[0], error);
    }
    if (err == EA_OK) {
        err = check_interactive(&map, error);
    }
    if (err == EA_OK) {
        err = get_bool(&map, "provideClusterInfo", &plugin->cluster_info, error);
    }
    if (err == EA_OK) {
        err = add_args(plugin, &map, error);
    }
    return err == EA_OK ? add_env(plugin, &map, error) : err;
}

static enum err read_user(struct kube_access *access, const struct map *map, struct error *error)
{
    static const char *const foreign[] = {"auth-provider", "as"};
    for (size_t i = 0; i < ARRAY_LENGTH(foreign); i++) {
        if (child(map->doc, map->node, foreign[i]) != NULL) {
            return error_set(error, EA_CONFIG,
                             "%s: the user's %s is not supported; use exec, a token or a certificate",
                             map->text->name, foreign[i]);
        }
    }
    enum err err = get_text(map, "token", &access->token, error);
    if (err == EA_OK) {
        err = get_path(map, "tokenFile", &access->token_file, error);
    }
    if (err == EA_OK) {
        err = get_text(map, "username", &access->user, error);
    }
    if (err == EA_OK) {
        err = get_text(map, "password", &access->password, error);
    }
    if (err == EA_OK) {
        err = get_path(map, "client-certificate", &access->cert_file, error);
    }
    if (err == EA_OK) {
        err = get_data(map, "client-certificate-data", &access->cert, error);
    }
    if (err == EA_OK) {
        err = get_path(map, "client-key", &access->key_file, error);
    }
    if (err == EA_OK) {
        err = get_data(map, "client-key-data", &access->key, error);
    }
    return err == EA_OK ? read_plugin(access, map, error) : err;
}

static enum err read_context(struct kube_access *access, struct docs *docs, struct error *error)
{
    struct str name = {NULL, 0};
    struct map context;
    struct map map;
    for (size_t i = 0; i < docs->n && name.n == 0; i++) {
        name = scalar(child(&docs->docs[i], yaml_document_get_root_node(&docs->docs[i]), "current-context"));
    }
    if (name.n == 0) {
        return error_set(error, EA_CONFIG, "%s: there is no current-context", docs->texts[0].name);
    }
    if (!find(docs, "contexts", name, "context", &context)) {
        return no_such("context", name, error);
    }
    struct str cluster = scalar(child(context.doc, context.node, "cluster"));
    struct str user = scalar(child(context.doc, context.node, "user"));
    if (!find(docs, "clusters", cluster, "cluster", &map)) {
        return no_such("cluster", cluster, error);
    }
    enum err err = read_cluster(access, &map, error);
    if (err == EA_OK) {
        err = get_text(&context, "namespace", &access->ns, error);
    }
    if (err == EA_OK && user.n > 0) {
        err = find(docs, "users", user, "user", &map) ? read_user(access, &map, error)
                                                      : no_such("user", user, error);
    }
    return err;
}

/* --- documents --- */

static enum err load(yaml_document_t *doc, const struct kubeconfig_text *text, struct error *error)
{
    yaml_parser_t parser;
    enum err err = EA_OK;
    if (yaml_parser_initialize(&parser) == 0) {
        return error_set(error, EA_NOMEM, "cannot make a YAML parser");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text->text.p, text->text.n);
    if (yaml_parser_load(&parser, doc) == 0) {
        err = error_set(error, EA_CONFIG, "%s:%zu: %s", text->name, parser.problem_mark.line + 1,
                        parser.problem != NULL ? parser.problem : "is no YAML");
    } else if (doc->nodes.top - doc->nodes.start > NODES_MAX) {
        err = error_set(error, EA_CONFIG, "%s has more than %d values", text->name, NODES_MAX);
        yaml_document_delete(doc);
    }
    yaml_parser_delete(&parser);
    return err;
}

enum err kubeconfig_read(struct kube_access *access, const struct kubeconfig_text *texts, size_t n,
                         struct error *error)
{
    struct docs docs = {.texts = texts};
    enum err err = EA_OK;
    while (docs.n < n && err == EA_OK) {
        err = load(&docs.docs[docs.n], &texts[docs.n], error);
        docs.n += err == EA_OK;
    }
    if (err == EA_OK) {
        err = read_context(access, &docs, error);
    }
    for (size_t i = 0; i < docs.n; i++) {
        yaml_document_delete(&docs.docs[i]);
    }
    return err;
}
