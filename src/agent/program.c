#include "agent/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/version.h"
#include "base/flight.h"
#include "base/log.h"
#include "base/mem.h"

extern char **environ;

static const char *const drivers[] = {
#define STORE(name, operations) #name,
#include "store/stores.def"
#undef STORE
    NULL,
};

struct start {
    struct config_io io;
    struct agent_seams seams;
};

static void warn(void *arg, const char *text)
{
    log_warning("config", text);
}

/* Before there is a log: in words, to whoever started the program. */
static int complain(const struct error *error)
{
    fprintf(stderr, "election-agent: %s\n", error->text);
    return err_exit(error->code);
}

static int show(struct buf *text)
{
    size_t written = fwrite(text->p, 1, text->n, stdout);
    bool failed = written != text->n || fflush(stdout) != 0;
    buf_fini(text);
    return failed ? err_exit(EA_IO) : 0;
}

static struct config *reload(void *user, struct error *error)
{
    struct start *start = user;
    struct config *config = NULL;
    enum config_action action;
    return config_load(&config, &start->io, &action, error) == EA_OK ? config : NULL;
}

static void set_up_log(const struct config *config)
{
    log_set_sink(&(struct log_sink){.format = config->log_format, .fd = STDERR_FILENO});
    log_set_level(config->log_level);
}

static int serve(struct config *config, struct start *start)
{
    struct agent *agent;
    struct error error = ERROR_NONE;
    flight_install();
    log_info("agent", "starting", LOG_TEXT("version", AGENT_VERSION), LOG_TEXT("commit", AGENT_COMMIT),
             LOG_TEXT("driver", config->driver), LOG_UINT("threads", config->threads));
    struct agent_options options = {.config = config, .reload = reload, .user = start, .seams = start->seams};
    enum err err = agent_new(&agent, &options, &error);
    if (err != EA_OK) {
        log_error("agent", "cannot start", LOG_TEXT("why", error.text));
        return err_exit(err);
    }
    agent_run(agent);
    agent_free(agent);
    return 0;
}

int agent_program(int argc, char **argv, const struct agent_seams *seams)
{
    struct error error = ERROR_NONE;
    struct config *config = NULL;
    enum config_action action = CONFIG_RUN;
    struct buf text = BUF_EMPTY;
    struct start start = {
        .io = {.env = environ, .argc = argc, .argv = argv, .dotenv = ".env", .drivers = drivers},
        .seams = *seams,
    };
    /* Warnings wait for the log's format: they are told by a second reading below, which is the one that
     * counts. */
    if (config_load(&config, &start.io, &action, &error) != EA_OK) {
        return complain(&error);
    }
    switch (action) {
    case CONFIG_HELP:
        config_help("election-agent", &text);
        return show(&text);
    case CONFIG_VERSION:
        buf_format(&text, "election-agent %s (%s)\n", AGENT_VERSION, AGENT_COMMIT);
        return show(&text);
    case CONFIG_PRINT:
        config_print(config, &text);
        config_free(config);
        return show(&text);
    case CONFIG_CHECK:
    case CONFIG_RUN:
        break;
    }
    set_up_log(config);
    config_free(config);
    start.io.warn = warn;
    if (config_load(&config, &start.io, &action, &error) != EA_OK) {
        return complain(&error);
    }
    if (action == CONFIG_CHECK) {
        config_free(config);
        return puts("the configuration is valid") < 0 ? err_exit(EA_IO) : 0;
    }
    return serve(config, &start);
}
