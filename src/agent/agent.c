#include "agent/parts.h"

#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/version.h"
#include "base/flight.h"
#include "base/log.h"
#include "base/mem.h"

struct http_limits agent_limits(const struct config *config)
{
    struct http_limits limits = http_limits_default;
    limits.idle_us = config->grpc_max_connection_idle_us;
    limits.age_us = config->grpc_max_connection_age_us;
    limits.age_grace_us = config->grpc_max_connection_age_grace_us;
    limits.streams = config->limits_streams;
    return limits;
}

uint64_t agent_connections(struct agent *agent, uint64_t by[2][2])
{
    uint64_t total = 0;
    memset(by, 0, sizeof(uint64_t[2][2]));
    for (unsigned i = 0; i < agent->n_workers; i++) {
        if (agent->workers[i].server == NULL) {
            continue;
        }
        const struct http_counts *counts = http_server_counts(agent->workers[i].server);
        total += atomic_load_explicit(&counts->undecided, memory_order_relaxed);
        for (int version = 0; version < 2; version++) {
            for (int tls = 0; tls < 2; tls++) {
                uint64_t n = atomic_load_explicit(&counts->connections[version][tls], memory_order_relaxed);
                by[version][tls] += n;
                total += n;
            }
        }
    }
    return total;
}

/* --- hooks --- */

static void on_event(void *user, unsigned lane, const struct election_event *event)
{
    struct agent *agent = user;
    metrics_leader_change(metrics_lane(agent->metrics, lane), event->kind,
                          election_action_word(event->action));
}

static void on_status(void *user)
{
    struct agent *agent = user;
    struct store_status status;
    store_status(agent->store, &status);
    flight_note(clock_mono(&clock_system), "store status", status.state, 0);
    if (status.state == STORE_UP) {
        log_info("store", "can decide");
    } else if (status.state != STORE_CLOSING) {
        log_warning("store", "cannot decide everything", LOG_TEXT("why", status.why));
    }
    if (agent->api != NULL) {
        api_readiness_changed(agent->api);
    }
}

static void elections(void *arg, void (*row)(void *row_arg, struct str kind, uint64_t n), void *row_arg)
{
    struct agent *agent = arg;
    store_count(agent->store, row, row_arg);
}

static void store_nodes(void *arg, void (*row)(void *row_arg, const char *node, int state), void *row_arg)
{
    struct agent *agent = arg;
    agent->store->ops->nodes(agent->store, row, row_arg);
}

static void gather(void *user, struct metrics_gauges *gauges)
{
    struct agent *agent = user;
    agent_connections(agent, gauges->connections);
    gauges->elections = elections;
    gauges->arg = agent;
    struct store_status status;
    store_status(agent->store, &status);
    struct store_counts counts = {0};
    if (agent->store->ops->counts != NULL) {
        agent->store->ops->counts(agent->store, &counts);
    }
    gauges->claim_retries = counts.claim_retries;
    gauges->undo_pending = counts.undo_pending;
    gauges->store_nodes = agent->store->ops->nodes != NULL ? store_nodes : NULL;
    gauges->store_node = agent->store->ops->name;
    gauges->store_node_state = status.state == STORE_UP ? 0 : status.state == STORE_STARTING ? 1 : 2;
}

/* --- assembling --- */

/* A daemon that serves many connections takes the descriptors it may have. */
static void raise_descriptors(uint32_t connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    rlim_t wanted = (rlim_t)connections + 128;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
            log_warning("agent",
                        "fewer file descriptors than limits.connections: raise the limit (ulimit -n)",
                        LOG_UINT("descriptors", limit.rlim_cur), LOG_UINT("connections", connections));
        }
    }
}

static void on_operation(void *user, unsigned lane, const char *node, const char *operation, bool success,
                         int64_t duration_us)
{
    struct agent *agent = user;
    metrics_store_operation(metrics_lane(agent->metrics, lane), node, operation, success, duration_us);
}

static struct redis_options redis_options(const struct config *config, const struct agent_seams *seams)
{
    static const enum redis_mode modes[] = {
        [CONFIG_REDIS_SINGLE] = REDIS_SINGLE,
        [CONFIG_REDIS_SHARDING] = REDIS_SHARDING,
        [CONFIG_REDIS_CLUSTER] = REDIS_CLUSTER,
    };
    return (struct redis_options){
        .mode = modes[config->redis_mode],
        .layout = config->redis_key_layout == CONFIG_REDIS_KIND ? REDIS_KIND : REDIS_FLAT,
        .urls = (const char *const *)config->redis_urls.items,
        .n_urls = config->redis_urls.n,
        .prefix = config->key_prefix,
        .operation_timeout_ms = config->redis_operation_timeout_us / 1000,
        .allow_eviction = config->redis_allow_eviction,
        .old_servers = seams->old_redis,
        .tls_ca = config->redis_tls_ca,
        .tls_cert = config->redis_tls_cert,
        .tls_key = config->redis_tls_key,
        .tls_server_name = config->redis_tls_server_name,
    };
}

static enum err open_store(struct agent *agent, const struct agent_seams *seams, struct error *error)
{
    const struct config *config = agent->config;
    struct redis_options redis = redis_options(config, seams);
    struct kubernetes_options kubernetes = {
        .in_cluster = config->kube_in_cluster,
        .kubeconfig = config->kube_config,
        .lease_namespace = config->kube_lease_namespace,
    };
    struct store_options options = {
        .driver = config->driver,
        .lanes = agent->loops,
        .n_lanes = agent->n_workers,
        .clock = &clock_system,
        .max_term_ms = config->lease_max_term_us / 1000,
        .on_event = on_event,
        .on_status = on_status,
        .user = agent,
        .path = config->embedded_path,
        .sync_power = config->embedded_sync == CONFIG_SYNC_POWER,
        .redis = &redis,
        .kubernetes = &kubernetes,
        .on_operation = on_operation,
    };
    enum err err = store_open(&agent->store, &options, error);
    if (err == EA_OK && seams->watch) {
        store_watch(agent->store);
    }
    return err;
}

static struct metrics *make_metrics(const struct agent *agent)
{
    const struct config *config = agent->config;
    return metrics_new(&(struct metrics_options){
        .lanes = agent->n_workers,
        .agent = str_of(config->name),
        .buckets = config->metric_request_duration_buckets.seconds,
        .n_buckets = config->metric_request_duration_buckets.n,
        .started = clock_wall(&clock_system),
        .version = AGENT_VERSION,
        .commit = AGENT_COMMIT,
    });
}

static struct api *make_api(struct agent *agent)
{
    const struct config *config = agent->config;
    return api_new(&(struct api_options){
        .store = agent->store,
        .metrics = agent->metrics,
        .loops = agent->loops,
        .n_lanes = agent->n_workers,
        .min_term_ms = config->lease_min_term_us / 1000,
        .max_term_ms = config->lease_max_term_us / 1000,
        .rate = config->limits_rate,
        .kube = agent->kube,
        .kube_cache = agent->kube_cache,
        .metrics_page = config->metric_enable,
        .gather = gather,
        .user = agent,
    });
}

static enum err listen_all(struct agent *agent, struct error *error)
{
    int grpc = agent->config->grpc_port;
    int http = agent->config->http_port;
    int admin = agent->config->admin_port;
    enum err err = EA_OK;
    for (unsigned i = 0; err == EA_OK && i < agent->n_workers; i++) {
        err = worker_listen(&agent->workers[i], &grpc, &http, &admin, error);
    }
    if (err == EA_OK) {
        log_info("agent", "listening", LOG_TEXT("bind", agent->config->bind),
                 LOG_INT("grpc", agent->config->grpc_enable ? grpc : -1),
                 LOG_INT("http", agent->config->http_enable ? http : -1), LOG_INT("admin", admin));
    }
    return err;
}

enum err agent_new(struct agent **out, const struct agent_options *options, struct error *error)
{
    struct agent *agent = mem_zalloc(sizeof *agent);
    agent->config = options->config;
    agent->reload = options->reload;
    agent->reload_user = options->user;
    agent->n_workers = options->config->threads;
    agent->workers = mem_zalloc(agent->n_workers * sizeof *agent->workers);
    agent->connections_max = options->config->limits_connections;
    agent->loops = mem_zalloc(agent->n_workers * sizeof(struct loop *));
    *out = NULL;

    raise_descriptors(options->config->limits_connections);
    agent->metrics = make_metrics(agent);
    enum err err = EA_OK;
    for (unsigned i = 0; err == EA_OK && i < agent->n_workers; i++) {
        err = worker_open(agent, &agent->workers[i], i, error);
        agent->loops[i] = agent->workers[i].loop;
    }
    if (err == EA_OK) {
        err = open_store(agent, &options->seams, error);
    }
    if (err == EA_OK) {
        err = agent_open_kube(agent, error);
    }
    if (err == EA_OK) {
        agent->api = make_api(agent);
        err = signals_open(agent, error);
    }
    if (err == EA_OK) {
        err = listen_all(agent, error);
    }
    if (err != EA_OK) {
        agent_free(agent);
        return err;
    }
    *out = agent;
    return EA_OK;
}

void agent_free(struct agent *agent)
{
    if (agent->workers[0].loop != NULL) {
        signals_close(agent);
    }
    if (agent->store != NULL) {
        store_close(agent->store);
    }
    agent_close_kube(agent);
    for (unsigned i = 0; i < agent->n_workers; i++) {
        worker_close_servers(&agent->workers[i]);
    }
    if (agent->api != NULL) {
        api_free(agent->api);
    }
    for (unsigned i = 0; i < agent->n_workers; i++) {
        worker_close_loop(&agent->workers[i]);
    }
    metrics_free(agent->metrics);
    config_free(agent->config);
    mem_free(agent->loops);
    mem_free(agent->workers);
    mem_free(agent);
}

/* --- running --- */

/* glibc keeps the memory of connections that have gone. When so many have, and few are left whom it would
 * hold up (it takes 1.2 ms for each thousand), it is asked to give it back. */
#define TRIM_CONNECTIONS 1000
#define TRIM_LEFT        4 /* at most this part of the most there were */
#define TRIM_LOOK_MS     10000

static void trim_look(struct loop *loop, struct loop_timer *timer)
{
    struct agent *agent = CONTAINER_OF(timer, struct agent, trim);
    uint64_t by[2][2];
    uint64_t now = agent_connections(agent, by);
    if (now > agent->most_connections) {
        agent->most_connections = now;
    } else if (agent->most_connections - now >= TRIM_CONNECTIONS &&
               now <= agent->most_connections / TRIM_LEFT) {
        (void)malloc_trim(0);
        agent->most_connections = now;
    }
    loop_timer_start(loop, timer, mono_add_ms(loop_now(loop), TRIM_LOOK_MS));
}

void agent_run(struct agent *agent)
{
    agent->trim.fire = trim_look;
    trim_look(agent->workers[0].loop, &agent->trim);
    for (unsigned i = 1; i < agent->n_workers; i++) {
        worker_start(&agent->workers[i]);
    }
    loop_run(agent->workers[0].loop);
    loop_timer_stop(agent->workers[0].loop, &agent->trim);
    for (unsigned i = 1; i < agent->n_workers; i++) {
        worker_join(&agent->workers[i]);
    }
    log_info("agent", "stopped");
}

static void stop_loops(struct agent *agent)
{
    for (unsigned i = 0; i < agent->n_workers; i++) {
        worker_stop(&agent->workers[i]);
    }
}

static void drained(struct loop *loop, struct loop_message *message)
{
    stop_loops(CONTAINER_OF(message, struct agent, drained_message));
}

/* All loops run until the last connection of any is gone: an election of one loop may be asked for on
 * another. */
void agent_worker_drained(struct agent *agent)
{
    if (atomic_fetch_sub(&agent->undrained, 1) == 1) {
        agent->drained_message.deliver = drained;
        loop_post(agent->workers[0].loop, &agent->drained_message);
    }
}

void agent_shutdown(struct agent *agent)
{
    struct mono now = loop_now(agent->workers[0].loop);
    if (agent->draining) {
        /* Asked twice: whoever waits for answers has waited long enough. A lease that was promised is durable
         * already. */
        log_warning("agent", "asked to stop a second time: connections are not waited for");
        _exit(err_exit(EA_OK));
    }
    agent->draining = true;
    agent->drain_deadline = mono_add_us(now, agent->config->shutdown_timeout_us);
    atomic_store(&agent->undrained, agent->n_workers);
    api_set_draining(agent->api);
    for (unsigned i = 0; i < agent->n_workers; i++) {
        worker_drain(&agent->workers[i]);
    }
}

struct reload {
    unsigned taken;
    unsigned restart;
};

static void tell_difference(void *arg, const char *key, bool reloadable)
{
    struct reload *reload = arg;
    if (reloadable) {
        reload->taken++;
        log_info("config", "changed", LOG_TEXT("key", key));
    } else {
        reload->restart++;
        log_warning("config", "changed in the configuration, but needs a restart", LOG_TEXT("key", key));
    }
}

void agent_reload(struct agent *agent)
{
    struct error error = ERROR_NONE;
    struct config *fresh = agent->reload(agent->reload_user, &error);
    if (fresh == NULL) {
        log_error("config", "not reloaded, the old configuration stays", LOG_TEXT("why", error.text));
        return;
    }
    struct reload reload = {0, 0};
    config_diff(agent->config, fresh, tell_difference, &reload);
    agent->config->log_level = fresh->log_level;
    agent->config->limits_connections = fresh->limits_connections;
    agent->config->limits_streams = fresh->limits_streams;
    agent->config->limits_rate = fresh->limits_rate;
    config_free(fresh);
    log_set_level(agent->config->log_level);
    api_set_rate(agent->api, agent->config->limits_rate);
    atomic_store_explicit(&agent->connections_max, agent->config->limits_connections, memory_order_relaxed);
    struct http_limits limits = agent_limits(agent->config);
    for (unsigned i = 0; i < agent->n_workers; i++) {
        worker_take_limits(&agent->workers[i], &limits);
    }
    log_info("config", "reloaded", LOG_UINT("changed", reload.taken),
             LOG_UINT("needing_restart", reload.restart));
}
