/*
 * elector: the sidecar that tells its pod who leads.
 *
 * Exit codes: 0 ended as asked; 74 input or output; 75 a port in use; 78 wrong configuration, or none of a cluster.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "elector/elector.h"
#include "elector/version.h"

extern char **environ;

static int complain(const struct error *error)
{
    fprintf(stderr, "elector: %s\n", error->text);
    return err_exit(error->code == EA_NOT_ENABLED ? EA_CONFIG : error->code);
}

static int show(struct buf *text)
{
    size_t written = fwrite(text->p, 1, text->n, stdout);
    bool failed = written != text->n || fflush(stdout) != 0;
    buf_fini(text);
    return failed ? err_exit(EA_IO) : 0;
}

int main(int argc, char **argv)
{
    static struct options options;
    struct error error = ERROR_NONE;
    struct buf text = BUF_EMPTY;
    enum options_action action;
    if (options_read(&options, argc, argv, environ, &action, &error) != EA_OK) {
        return complain(&error);
    }
    if (action == OPTIONS_HELP) {
        options_help(&text);
        return show(&text);
    }
    if (action == OPTIONS_VERSION) {
        buf_format(&text, "elector %s (%s)\n", ELECTOR_VERSION, ELECTOR_COMMIT);
        return show(&text);
    }
    log_set_sink(&(struct log_sink){.format = options.log_format, .fd = STDERR_FILENO});
    log_set_level(options.log_level);
    struct elector *elector;
    if (elector_new(&elector, &options, &error) != EA_OK) {
        return complain(&error);
    }
    elector_run(elector);
    elector_free(elector);
    return 0;
}
