/*
 * Writes docs/configuration.md, docs/metrics.md, docs/errors.md, docs/api.md, and the lists in two manual pages, from
 * the tables the code is made of.
 *
 *     gen_docs DIRECTORY            writes them
 *     gen_docs --check DIRECTORY    writes nothing; ends with 1 and names those that differ
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "config/row.h"
#include "config/show.h"
#include "config/value.h"
#include "gen_docs.h"
#include "metrics/family.h"
#include "metrics/metrics.h"

/* The first error that never goes over the wire under its own name (base/error.def). */
#define FIRST_INTERNAL_ERROR EA_NOMEM
/* In the example of a whole file. */
#define EXAMPLE_PROCESSORS 4
#define READ_BYTES         16384

static void add(struct buf *out, const char *text)
{
    buf_add_str(out, str_of(text));
}

void gen_docs_notice(struct buf *out, const char *title, const char *table)
{
    buf_format(out, "# %s\n\n<!-- Generated from %s by tools/gen_docs.c; `make docs` writes it anew. -->\n\n",
               title, table);
}

/* Text for a table's cell. */
static void add_cell(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '|') {
            add(out, "\\|");
        } else {
            buf_add(out, text.p + i, 1);
        }
    }
}

static const char configuration_head[] =
    "Every setting is an environment variable, a key of a YAML file and a flag. Who sets it last wins:\n"
    "\n"
    "| | from | for example |\n"
    "| --- | --- | --- |\n"
    "| 1 | the defaults below | |\n"
    "| 2 | `.env` in the working directory; it does not override the environment | `EA_GRPC_PORT=50051` |\n"
    "| 3 | the environment | `EA_GRPC_PORT=50051` |\n"
    "| 4 | the YAML file that `EA_CONFIG_FILE` or `--config_file` names | `grpc: {port: 50051}` or "
    "`grpc.port: 50051` |\n"
    "| 5 | flags | `--grpc.port=50051` or `--grpc.port 50051` |\n"
    "\n"
    "```sh\n"
    "EA_ENV=development election-agent                  # gRPC on 50051, HTTP on 8080, no rights needed\n"
    "election-agent --config-file=/etc/election-agent.yaml --log-level=debug\n"
    "election-agent --check-config                      # only validates: exit code 0, or 78 and what is "
    "wrong\n"
    "election-agent --print-config                      # the result as YAML, with where each value came "
    "from\n"
    "```\n"
    "\n"
    "- An unknown key or flag, or a bad value, ends the program with exit code 78 and a line that names the\n"
    "  source, the name, the value and what would be right: `agent.yaml:3: grpc.prot: unknown key; did you "
    "mean\n"
    "  grpc.port?`\n"
    "- An unknown variable that begins with `EA_` is a warning only, since Kubernetes puts variables named "
    "after\n"
    "  services into every container. An empty variable counts as not set.\n"
    "- Only the value that wins is checked: a flag can overrule a broken variable.\n"
    "- Durations are written `300ms`, `10s`, `5m`, `1h`, `1h30m`. Lists are separated by commas, in YAML "
    "they may be\n"
    "  sequences. Truth is `true` or `false` (`yes`, `no`, `on`, `off`, `1`, `0` mean the same).\n"
    "- The YAML file has at most 1 MiB and one document; keys that are there twice, anchors, aliases and "
    "tags are\n"
    "  refused.\n"
    "- In flags, `-` and `_` are the same: `--log-level`, `--log_level`.\n"
    "- SIGHUP reads .env and the YAML file again. Settings marked ↻ change while the agent runs; of the "
    "others the log "
    "says\n"
    "  that they need a restart.\n";

static void configuration_row(const struct config_row *row, struct buf *out)
{
    struct buf words = BUF_EMPTY;
    bool reloadable = (row->flags & CONFIG_RELOADABLE) != 0;
    buf_format(out, "| `%s`%s<br>`%s` | ", row->key, reloadable ? " ↻" : "", row->variable);
    add_cell(out, str_of(row->help));
    add(out, " | ");
    config_value_expected(row, &words);
    add_cell(out, buf_str(&words));
    buf_clear(&words);
    add(out, " | ");
    config_show_default(row, &words);
    if (row->computed != NULL) {
        add_cell(out, buf_str(&words));
    } else if (words.n > 0) {
        add(out, "`");
        /* "443; 50051 in development": what is behind the first semicolon is words. */
        const char *semicolon = memchr(words.p, ';', words.n);
        size_t n = semicolon != NULL ? (size_t)(semicolon - words.p) : words.n;
        add_cell(out, str_from(words.p, n));
        add(out, "`");
        add_cell(out, str_from(words.p + n, words.n - n));
    }
    add(out, " |\n");
    buf_fini(&words);
}

/* All settings with their defaults of production, as --print-config shows them. */
static enum err configuration_example(struct buf *out)
{
    char program[] = "election-agent";
    char *argv[] = {program, NULL};
    const struct config_io io = {.argc = 1, .argv = argv, .processors = EXAMPLE_PROCESSORS};
    struct config *config;
    enum config_action action;
    struct error error = ERROR_NONE;
    enum err e = config_load(&config, &io, &action, &error);
    if (e != EA_OK) {
        fprintf(stderr, "gen_docs: %s\n", error.text);
        return e;
    }
    add(out, "\n## A whole file\n\nWith the defaults of production, on a machine with four "
             "processors:\n\n```yaml\n");
    config_print(config, out);
    add(out, "```\n");
    config_free(config);
    return EA_OK;
}

static void configuration_laters(struct buf *out)
{
    add(out,
        "\n## Names of later versions\n\n"
        "This version knows these names and does not act on them. Set, they are answered with a warning;\n"
        "those that promise protection are refused, so that nobody believes in a lock that is not there.\n\n"
        "| setting | variable | set |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < config_later_count; i++) {
        const struct config_later *later = &config_laters[i];
        buf_format(out, "| `%s` | `%s` | %s |\n", later->key, later->variable,
                   later->protects ? "refused" : "a warning");
    }
}

static enum err write_configuration(struct buf *out)
{
    gen_docs_notice(out, "Configuration", "src/config/config.def");
    add(out, configuration_head);
    const struct config_group *group = NULL;
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        if (config_group_of(&config_rows[i]) != group) {
            group = config_group_of(&config_rows[i]);
            buf_format(out,
                       "\n## %s\n\n%s\n\n| setting, variable | meaning | takes | default |\n"
                       "| --- | --- | --- | --- |\n",
                       group->title, group->text);
        }
        configuration_row(&config_rows[i], out);
    }
    enum err e = configuration_example(out);
    configuration_laters(out);
    return e;
}

static const char metrics_foot[] =
    "\n"
    "## Labels\n"
    "\n"
    "| label | values |\n"
    "| --- | --- |\n"
    "| `agent` | on every metric: the setting `name` |\n"
    "| `status` | `success`, `fail` (the store could not decide; a lost campaign is a success) |\n";

static const char metrics_examples[] =
    "| `kind` | kinds of elections; those that come after the first 100 count as `other` |\n"
    "| `protocol` | `http1`, `http2` |\n"
    "| `tls` | `true`, `false` |\n"
    "| `node`, `operation` | of the store |\n"
    "| `state` | `up`, `recovering`, `down` |\n"
    "\n"
    "## Examples\n"
    "\n"
    "Let Prometheus read an agent:\n"
    "\n"
    "```yaml\n"
    "scrape_configs:\n"
    "  - job_name: election-agent\n"
    "    static_configs:\n"
    "      - targets: [\"127.0.0.1:8080\"]\n"
    "```\n"
    "\n"
    "Ask it:\n"
    "\n"
    "```\n"
    "# 99th percentile of campaigns, over the last five minutes\n"
    "histogram_quantile(0.99, sum by (le) "
    "(rate(election_agent_request_duration_seconds_bucket{action=\"campaign\"}[5m])))\n"
    "\n"
    "# share of requests that the store could not decide\n"
    "sum(rate(election_agent_request_duration_seconds_count{status=\"fail\"}[5m]))\n"
    "  / sum(rate(election_agent_request_duration_seconds_count[5m]))\n"
    "\n"
    "# leaders lost because they did not extend, an hour, by kind\n"
    "sum by (kind) (increase(election_agent_leader_changes_total{reason=\"expired\"}[1h]))\n"
    "```\n";

static void add_words(struct buf *out, const char *label, const char *const *words, size_t n)
{
    buf_format(out, "| `%s` | ", label);
    for (size_t i = 0; i < n; i++) {
        buf_format(out, "%s`%s`", i > 0 ? ", " : "", words[i]);
    }
    add(out, " |\n");
}

/* "action,status" as `action`, `status`. */
static void add_labels(struct buf *out, struct str labels)
{
    const char *separator = "";
    for (struct str label; labels.n > 0 && str_split(&labels, ',', &label); separator = ", ") {
        buf_format(out, "%s`%.*s`", separator, STR_ARG(label));
    }
}

static enum err write_metrics(struct buf *out)
{
    static const char *const actions[] = {
#define A(name, label) (label),
        METRICS_ACTIONS(A)
#undef A
    };
    static const char *const reasons[] = {
#define R(name, label) (label),
        METRICS_REASONS(R)
#undef R
    };
    gen_docs_notice(out, "Metrics", "src/metrics/metrics.def");
    add(out, "`GET /metrics` answers with Prometheus' text format, or with OpenMetrics 1.0 to a client that "
             "accepts\n"
             "`application/openmetrics-text`. It is served on the HTTP listener, and on `admin.port` where "
             "that is set.\n"
             "\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < METRICS_FAMILY_COUNT; i++) {
        const struct metrics_family *family = &metrics_families[i];
        buf_format(out, "| `%s` | %s | ", family->name, metrics_type_name(family->type));
        add_labels(out, str_of(family->labels));
        add(out, " | ");
        add_cell(out, str_of(family->help));
        add(out, " |\n");
    }
    add(out, metrics_foot);
    add_words(out, "action", actions, ARRAY_LENGTH(actions));
    add_words(out, "reason", reasons, ARRAY_LENGTH(reasons));
    add(out, metrics_examples);
    return EA_OK;
}

static const char *grpc_name(int code)
{
    static const char *const names[] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };
    return code >= 0 && (size_t)code < ARRAY_LENGTH(names) ? names[code] : "UNKNOWN";
}

static void errors_wire(struct buf *out)
{
    add(out, "## Answers\n\n"
             "What a client gets. Over HTTP the body is `{\"message\":\"…\"}`, over gRPC the words are in\n"
             "`grpc-message`; they say what was wrong and where.\n\n"
             "| error | meaning | gRPC | HTTP | try again |\n| --- | --- | --- | --- | --- |\n");
    for (int e = EA_OK; e < FIRST_INTERNAL_ERROR; e++) {
        buf_format(out, "| `%s` | %s | %s (%d) | %d | %s |\n", err_name((enum err)e), err_text((enum err)e),
                   grpc_name(err_grpc((enum err)e)), err_grpc((enum err)e), err_http((enum err)e),
                   err_retryable((enum err)e) ? "yes" : "no");
    }
    add(out, "\nEverything else shows as INTERNAL (13) and 500. \"Try again\" says whether another attempt, "
             "later or at\n"
             "another agent, can succeed with the same request.\n\n"
             "`UNAVAILABLE` is FAILED_PRECONDITION and 412 on the wire because existing clients expect it; "
             "it means\n"
             "that the store cannot decide now, and is worth another try.\n");
}

static void errors_exit(struct buf *out)
{
    add(out, "\n## Exit codes\n\n"
             "What a program of this project ends with.\n\n"
             "| exit code | when |\n| --- | --- |\n");
    for (int code = 0; code < 256; code++) {
        bool any = false;
        for (int e = 0; e < EA_COUNT; e++) {
            if (err_exit((enum err)e) != code) {
                continue;
            }
            if (any) {
                add(out, "; ");
            } else {
                buf_format(out, "| %d | ", code);
            }
            any = true;
            add_cell(out, str_of(err_text((enum err)e)));
        }
        add(out, any ? " |\n" : "");
    }
}

static enum err write_errors(struct buf *out)
{
    gen_docs_notice(out, "Errors", "src/base/error.def");
    errors_wire(out);
    errors_exit(out);
    return EA_OK;
}

static const struct {
    const char *file;
    enum err (*write)(struct buf *out);
} documents[] = {
    {"configuration.md", write_configuration},
    {"metrics.md", write_metrics},
    {"errors.md", write_errors},
    {"api.md", gen_docs_api},
};

/* Pages that are written by hand but for one part. */
static const struct {
    const char *file;
    void (*write)(struct buf *out);
} parts[] = {
    {"man/elector.1", gen_docs_man_elector},
    {"man/election-agent.yaml.5", gen_docs_man_settings},
};

static bool write_file(const char *path, struct str text)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    bool good = fwrite(text.p, 1, text.n, file) == text.n;
    good = fclose(file) == 0 && good;
    if (!good) {
        perror(path);
    }
    return good;
}

/* Whether the file has exactly this text. */
static bool check_file(const char *path, struct str text)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    /* One byte more, so that a longer file differs. */
    char *found = mem_alloc(text.n + 1);
    size_t n = fread(found, 1, text.n + 1, file);
    fclose(file);
    bool same = str_eq(str_from(found, n), text);
    mem_free(found);
    if (!same) {
        fprintf(stderr, "%s is stale: run `make docs`\n", path);
    }
    return same;
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    size_t n;
    do {
        n = fread(buf_reserve(out, READ_BYTES), 1, READ_BYTES, file);
        out->n += n;
    } while (n > 0);
    bool good = ferror(file) == 0;
    fclose(file);
    return good;
}

/* The page at `path`, with `part` between its lines `.\" begin...` and `.\" end`. */
static bool splice(const char *path, struct str part, struct buf *out)
{
    struct buf page = BUF_EMPTY;
    bool good = read_file(path, &page);
    buf_add(&page, "", 1);
    char *begin = good ? strstr(page.p, "\n.\\\" begin") : NULL;
    char *end = begin != NULL ? strstr(begin, "\n.\\\" end\n") : NULL;
    if (end != NULL) {
        const char *body = strchr(begin + 1, '\n') + 1;
        buf_add(out, page.p, (size_t)(body - page.p));
        buf_add_str(out, part);
        add(out, end + 1);
    } else if (good) {
        fprintf(stderr, "%s: it has no lines .\\\" begin and .\\\" end\n", path);
        good = false;
    }
    buf_fini(&page);
    return good;
}

int main(int argc, char **argv)
{
    bool check = argc == 3 && strcmp(argv[1], "--check") == 0;
    if (argc != 2 && !check) {
        fprintf(stderr, "usage: %s [--check] DIRECTORY\n", argv[0]);
        return err_exit(EA_INVALID);
    }
    bool good = true;
    for (size_t i = 0; i < ARRAY_LENGTH(documents) + ARRAY_LENGTH(parts); i++) {
        bool whole = i < ARRAY_LENGTH(documents);
        size_t of_parts = i - ARRAY_LENGTH(documents);
        struct buf text = BUF_EMPTY;
        struct buf part = BUF_EMPTY;
        struct buf path = BUF_EMPTY;
        buf_format(&path, "%s/%s", argv[argc - 1], whole ? documents[i].file : parts[of_parts].file);
        buf_add(&path, "", 1);
        bool made;
        if (whole) {
            made = documents[i].write(&text) == EA_OK;
        } else {
            parts[of_parts].write(&part);
            made = splice(path.p, buf_str(&part), &text);
        }
        good = made && (check ? check_file : write_file)(path.p, buf_str(&text)) && good;
        buf_fini(&path);
        buf_fini(&part);
        buf_fini(&text);
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
