#include "config/check.h"

#include "config/value.h"

static const char *const drivers_default[] = {"embedded", NULL};

/* Stores the specification has; a build may lack some. */
static const char *const drivers_known[] = {"embedded", "memory", "redis", "etcd", "kubernetes", NULL};

static bool contains(const char *const *words, const char *word)
{
    for (; *words != NULL; words++) {
        if (strcmp(*words, word) == 0) {
            return true;
        }
    }
    return false;
}

static void warn(const struct config_io *io, const char *text)
{
    if (io->warn != NULL) {
        io->warn(io->arg, text);
    }
}

static enum err check_driver(const struct config *config, const struct config_io *io, struct error *error)
{
    const char *const *available = io->drivers != NULL ? io->drivers : drivers_default;
    if (contains(available, config->driver)) {
        return EA_OK;
    }
    struct buf list = BUF_EMPTY;
    for (const char *const *d = available; *d != NULL; d++) {
        buf_format(&list, "%s%s", d == available ? "" : ", ", *d);
    }
    char shown[40];
    str_escape(str_of(config->driver), shown, sizeof shown);
    const char *origin = config->origin[CONFIG_SETTING_driver];
    enum err e;
    if (!contains(drivers_known, config->driver)) {
        e = error_set(error, EA_CONFIG, "%s: \"%s\" is no store; available: %.*s", origin, shown,
                      STR_ARG(buf_str(&list)));
    } else {
        e = error_set(error, EA_CONFIG, "%s: %s is not part of this build; available: %.*s",
                      origin != NULL ? origin : "driver (because EA_REDIS_URLS is set)", shown,
                      STR_ARG(buf_str(&list)));
    }
    buf_fini(&list);
    return e;
}

static enum err check_terms(const struct config *config, struct error *error)
{
    if (config->lease_min_term_us <= config->lease_max_term_us) {
        return EA_OK;
    }
    char low[CONFIG_DURATION_BYTES];
    char high[CONFIG_DURATION_BYTES];
    return error_set(error, EA_CONFIG, "lease.min_term (%s) is longer than lease.max_term (%s)",
                     config_duration_text(config->lease_min_term_us, low),
                     config_duration_text(config->lease_max_term_us, high));
}

/* Port 0 is another port each time. */
static bool same_port(int a, int b)
{
    return a == b && a > 0;
}

static enum err check_listeners(const struct config *config, struct error *error)
{
    if (!config->grpc_enable && !config->http_enable) {
        return error_set(error, EA_CONFIG,
                         "grpc.enable and http.enable are both false: nobody could reach this agent");
    }
    if (config->grpc_enable && same_port(config->admin_port, config->grpc_port)) {
        return error_set(error, EA_CONFIG, "admin.port and grpc.port are both %d: admin.port must be its own",
                         config->admin_port);
    }
    if (config->http_enable && same_port(config->admin_port, config->http_port)) {
        return error_set(error, EA_CONFIG, "admin.port and http.port are both %d: admin.port must be its own",
                         config->admin_port);
    }
    return EA_OK;
}

static enum err check_metrics(struct config *config, const struct config_io *io, struct error *error)
{
    if (!config->metric_enable || config->http_enable || config->admin_port != CONFIG_NO_PORT) {
        return EA_OK;
    }
    if (config->origin[CONFIG_SETTING_metric_enable] != NULL) {
        return error_set(error, EA_CONFIG, "metric.enable needs http.enable or admin.port to be served at");
    }
    warn(io, "no metrics are served: neither http.enable nor admin.port is set");
    config->metric_enable = false;
    return EA_OK;
}

static enum err check_redis(const struct config *config, const struct config_io *io, struct error *error)
{
    bool is_redis = strcmp(config->driver, "redis") == 0;
    if (is_redis && config->redis_urls.n == 0) {
        return error_set(error, EA_CONFIG, "driver redis needs redis.urls (EA_REDIS_URLS)");
    }
    if (is_redis && config->redis_urls.n % 2 == 0) {
        return error_set(
            error, EA_CONFIG,
            "redis.urls: %zu nodes: the number must be odd (1, 3, 5, ...), since an even one bears "
            "no more failures than one less",
            config->redis_urls.n);
    }
    if (!is_redis && config->redis_urls.n > 0) {
        warn(io, "redis.urls is set, but another driver is used");
    }
    if (is_redis && (config->redis_tls_cert == NULL) != (config->redis_tls_key == NULL)) {
        return error_set(error, EA_CONFIG,
                         "redis.tls.cert and redis.tls.key belong together: set both or none");
    }
    return EA_OK;
}

enum err config_check(struct config *config, const struct config_io *io, bool in_cluster, struct error *error)
{
    enum err e = check_driver(config, io, error);
    if (e == EA_OK) {
        e = check_terms(config, error);
    }
    if (e == EA_OK) {
        e = check_redis(config, io, error);
    }
    if (e == EA_OK) {
        e = check_listeners(config, error);
    }
    if (e == EA_OK) {
        e = check_metrics(config, io, error);
    }
    if (e == EA_OK && config->kube_enable && config->kube_in_cluster && !in_cluster) {
        warn(io, "kube.enable: no cluster configuration (KUBERNETES_SERVICE_HOST is not set); pods can't be "
                 "asked for");
    }
    return e;
}
