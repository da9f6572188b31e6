/*
 * The front of the quorum simulation: runs seeds, prints the first failing one with its last steps, and says how to
 * run it again.
 *
 *     qsim --seeds N [--from S] [--mutation NAME] [--trace] [--keep-going]
 *     qsim --mutations --seeds N                  each mutation is noticed within N seeds
 *     qsim --scenarios [--only NAME] [--trace]    the directed tests
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "qsim.h"

#define OPEN "open" /* mutations.def */

struct mutation_row {
    const char *name;
    const char *what;
    const char *checks;
};

static const struct mutation_row mutations[MUTATION_COUNT] = {
    {"NONE", "nothing is broken", ""},
#define MUTATION(name, what, checks) {#name, what, checks},
#include "mutations.def"
#undef MUTATION
};

struct arguments {
    uint64_t seeds;
    uint64_t from;
    enum mutation mutation;
    const char *only;
    bool scenarios;
    bool all_mutations;
    bool keep_going;
    bool trace;
};

/* --- Clean seeds --- */

static bool all_counted(const struct qsim_counters *counters)
{
    bool all = true;
#define COUNTER(name)                                             \
    (void)printf("  %-20s %" PRIu64 "\n", #name, counters->name); \
    all = all && counters->name > 0;
    QSIM_COUNTERS(COUNTER)
#undef COUNTER
    return all;
}

/* The same seed again, with everything written down. */
static void show_again(struct qsim *sim, uint64_t seed, const struct arguments *args)
{
    trace_reset(sim->trace, args->trace);
    qsim_run(sim, seed, args->mutation, true);
    trace_print(sim->trace);
    (void)printf("FAILED %s\nto see it again: qsim --from %" PRIu64 " --seeds 1 --mutation %s --trace\n",
                 sim->trace->failed, seed, mutations[args->mutation].name);
}

static bool run_seeds(struct qsim *sim, const struct arguments *args)
{
    uint64_t failures = 0;
    for (uint64_t seed = args->from; seed < args->from + args->seeds; seed++) {
        trace_reset(sim->trace, args->trace);
        qsim_run(sim, seed, args->mutation, args->trace);
        if (!trace_failed(sim->trace)) {
            continue;
        }
        failures++;
        if (!args->keep_going) {
            show_again(sim, seed, args);
            return false;
        }
        (void)printf("%" PRIu64 ": %s\n", seed, sim->trace->failed);
    }
    bool counted = all_counted(sim->counters) || args->seeds < 1000;
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " fail\n", args->seeds, failures);
    if (!counted) {
        (void)printf("FAILED: some of this never happened, so nothing was checked by it\n");
    }
    return counted && failures == 0;
}

/* --- Broken on purpose --- */

static bool is_expected(const char *checks, const char *failed)
{
    size_t n = strcspn(failed, ":");
    bool found = *checks == '\0';
    for (const char *at = checks; *at != '\0' && !found; at += strcspn(at, " "), at += strspn(at, " ")) {
        found = strcspn(at, " ") == n && strncmp(at, failed, n) == 0;
    }
    return found;
}

static bool catch_mutation(struct qsim *sim, const struct arguments *args, enum mutation mutation)
{
    const struct mutation_row *row = &mutations[mutation];
    const char *scenario = scenarios_notice(sim, mutation);
    if (scenario != NULL) {
        (void)printf("caught %s in %s\n", row->name, scenario);
        return true;
    }
    bool open = strcmp(row->checks, OPEN) == 0;
    for (uint64_t seed = args->from; seed < args->from + args->seeds; seed++) {
        trace_reset(sim->trace, false);
        qsim_run(sim, seed, mutation, false);
        if (trace_failed(sim->trace)) {
            bool expected = open || is_expected(row->checks, sim->trace->failed);
            (void)printf("%s %s in seed %" PRIu64 ": %s\n",
                         expected ? "caught" : "FAILED, caught by chance:", row->name, seed,
                         sim->trace->failed);
            return expected;
        }
    }
    (void)printf("%s: %" PRIu64 " seeds do not notice %s: %s\n", open ? "open" : "FAILED", args->seeds,
                 row->name, row->what);
    return open;
}

static bool run_mutations(struct qsim *sim, const struct arguments *args)
{
    bool all = true;
    for (unsigned m = MUTATION_NONE + 1; m < MUTATION_COUNT; m++) {
        all = catch_mutation(sim, args, (enum mutation)m) && all;
    }
    return all;
}

/* --- Arguments --- */

static bool read_mutation(struct arguments *args, const char *value)
{
    for (unsigned m = 0; m < MUTATION_COUNT; m++) {
        if (strcmp(value, mutations[m].name) == 0) {
            args->mutation = (enum mutation)m;
            return true;
        }
    }
    return false;
}

static bool read_value(struct arguments *args, const char *option, const char *value)
{
    if (strcmp(option, "--seeds") == 0) {
        return str_to_u64(str_of(value), &args->seeds);
    }
    if (strcmp(option, "--from") == 0) {
        return str_to_u64(str_of(value), &args->from);
    }
    if (strcmp(option, "--only") == 0) {
        args->only = value;
        return true;
    }
    return strcmp(option, "--mutation") == 0 && read_mutation(args, value);
}

static bool read_flag(struct arguments *args, const char *option)
{
    bool *flag = strcmp(option, "--scenarios") == 0    ? &args->scenarios
                 : strcmp(option, "--mutations") == 0  ? &args->all_mutations
                 : strcmp(option, "--keep-going") == 0 ? &args->keep_going
                 : strcmp(option, "--trace") == 0      ? &args->trace
                                                       : NULL;
    if (flag != NULL) {
        *flag = true;
    }
    return flag != NULL;
}

static bool read_arguments(struct arguments *args, int argc, char **argv)
{
    *args = (struct arguments){.seeds = 100, .from = 1};
    for (int i = 1; i < argc; i++) {
        if (read_flag(args, argv[i])) {
            continue;
        }
        if (i + 1 >= argc || !read_value(args, argv[i], argv[i + 1])) {
            return false;
        }
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct arguments args;
    if (!read_arguments(&args, argc, argv)) {
        (void)fprintf(stderr, "usage: qsim [--scenarios [--only NAME] | --mutations] [--seeds N] [--from S] "
                              "[--mutation NAME] [--trace] [--keep-going]\n");
        return 2;
    }
    struct qsim_counters counters = {0};
    struct trace *trace = mem_zalloc(sizeof *trace);
    struct qsim *sim = qsim_new(&counters, trace);
    bool good = args.scenarios       ? scenarios_run(sim, args.only, args.trace)
                : args.all_mutations ? run_mutations(sim, &args)
                                     : run_seeds(sim, &args);
    qsim_free(sim);
    mem_free(trace);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
