#include "agent/parts.h"

#include <pthread.h>
#include <signal.h>

#include "base/flight.h"
#include "base/log.h"
#include "base/mem.h"

static const int wanted[AGENT_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

/* The flight recorder, a log line a record. */
static void tell(void)
{
    struct buf text = BUF_EMPTY;
    flight_dump(&text);
    struct str rest = buf_str(&text);
    struct str line;
    unsigned records = 0;
    while (str_split(&rest, '\n', &line)) {
        if (line.n > 0) {
            log_info("flight", "record", LOG_STR("what", line));
            records++;
        }
    }
    log_info("flight", "that was all", LOG_UINT("records", records));
    buf_fini(&text);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct agent_signal *self = CONTAINER_OF(handle, struct agent_signal, handle);
    loop_enter(self->agent->workers[0].loop);
    switch (number) {
    case SIGHUP:
        agent_reload(self->agent);
        break;
    case SIGUSR1:
        tell();
        break;
    default:
        log_info("agent", "asked to stop", LOG_INT("signal", number));
        agent_shutdown(self->agent);
        break;
    }
}

enum err signals_open(struct agent *agent, struct error *error)
{
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < AGENT_SIGNALS; i++) {
        struct agent_signal *s = &agent->signals[i];
        s->agent = agent;
        int rc = uv_signal_init(loop_uv(agent->workers[0].loop), &s->handle);
        if (rc != 0) {
            return error_set(error, EA_IO, "cannot watch signals: %s", uv_strerror(rc));
        }
        agent->open_signals++;
        rc = uv_signal_start(&s->handle, on_signal, wanted[i]);
        if (rc != 0) {
            return error_set(error, EA_IO, "cannot watch signal %d: %s", wanted[i], uv_strerror(rc));
        }
    }
    return EA_OK;
}

/* From here on the agent is ending, and a signal that comes late must not turn its exit code into a death: libuv puts
 * the default action back, so signals are held until they are ignored. */
void signals_close(struct agent *agent)
{
    sigset_t all;
    sigset_t before;
    sigemptyset(&all);
    for (unsigned i = 0; i < AGENT_SIGNALS; i++) {
        sigaddset(&all, wanted[i]);
    }
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (unsigned i = 0; i < agent->open_signals; i++) {
        uv_close((uv_handle_t *)&agent->signals[i].handle, NULL);
        signal(wanted[i], SIG_IGN);
    }
    agent->open_signals = 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
