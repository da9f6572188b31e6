/*
 * The simulation's front: runs seeds, prints the first failing one with its last steps, and says how to run
 * it again.
 *
 *     sim --seeds N [--from S] [--rules ledger|book|both] [--mutation NAME] [--loud]    clients, network,
 * crashes sim --differ --seeds N [--from S]                                                 the ledger beside
 * the book sim --mutations --seeds N                                                         each mutation is
 * noticed within N seeds
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "differ.h"
#include "sim.h"

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

static const char *const rules_names[] = {"ledger", "book"};

struct arguments {
    uint64_t seeds;
    uint64_t from;
    bool rules[2];
    enum mutation mutation;
    bool differ;
    bool all_mutations;
    bool loud;
};

static void print_failure(const struct trace *trace, uint64_t seed, const char *how)
{
    trace_print(trace);
    (void)printf("FAILED %s\nto see it again: sim %s --from %" PRIu64 " --seeds 1 --loud\n", trace->failed,
                 how, seed);
}

/* --- clean seeds --- */

static bool all_counted(const struct sim_counters *counters, enum decider_rules rules)
{
    bool all = true;
#define COUNTER(name)                                             \
    (void)printf("  %-24s %" PRIu64 "\n", #name, counters->name); \
    all = all && counters->name > 0;
    SIM_COUNTERS(COUNTER)
    if (rules == RULES_BOOK) {
        SIM_BOOK_COUNTERS(COUNTER)
    }
#undef COUNTER
    return all;
}

static bool run_seeds(const struct arguments *args, enum decider_rules rules, struct trace *trace)
{
    struct sim_counters counters = {0};
    for (uint64_t seed = args->from; seed < args->from + args->seeds; seed++) {
        trace_reset(trace, args->loud);
        sim_run(seed, rules, args->mutation, &counters, trace);
        if (trace_failed(trace)) {
            char how[96];
            (void)snprintf(how, sizeof how, "--rules %s --mutation %s", rules_names[rules],
                           mutations[args->mutation].name);
            print_failure(trace, seed, how);
            return false;
        }
    }
    (void)printf("%s: %" PRIu64 " seeds hold\n", rules_names[rules], args->seeds);
    if (!all_counted(&counters, rules) && args->seeds >= 100) {
        (void)printf("FAILED: some of this never happened, so nothing was checked by it\n");
        return false;
    }
    return true;
}

static bool run_differ(const struct arguments *args, struct trace *trace)
{
    for (uint64_t seed = args->from; seed < args->from + args->seeds; seed++) {
        trace_reset(trace, args->loud);
        differ_run(seed, trace);
        if (trace_failed(trace)) {
            print_failure(trace, seed, "--differ");
            return false;
        }
    }
    (void)printf("differential: %" PRIu64 " seeds answer alike\n", args->seeds);
    return true;
}

/* --- broken on purpose --- */

/* Is the failed check among those that may find the mutation? */
static bool is_expected(const char *checks, const char *failed)
{
    size_t n = strcspn(failed, ":");
    for (const char *at = checks; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " ")) {
        if (strcspn(at, " ") == n && strncmp(at, failed, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool catch_mutation(const struct arguments *args, enum decider_rules rules, enum mutation mutation,
                           struct trace *trace)
{
    const struct mutation_row *row = &mutations[mutation];
    struct sim_counters counters = {0};
    for (uint64_t seed = args->from; seed < args->from + args->seeds; seed++) {
        trace_reset(trace, args->loud);
        sim_run(seed, rules, mutation, &counters, trace);
        if (trace_failed(trace)) {
            bool expected = is_expected(row->checks, trace->failed);
            (void)printf("%s %s (%s) in seed %" PRIu64 ": %s\n",
                         expected ? "caught" : "FAILED, caught by chance:", row->name, rules_names[rules],
                         seed, trace->failed);
            return expected;
        }
    }
    (void)printf("FAILED: %" PRIu64 " seeds do not notice %s (%s): %s\n", args->seeds, row->name,
                 rules_names[rules], row->what);
    return false;
}

static bool run_mutations(const struct arguments *args, enum decider_rules rules, struct trace *trace)
{
    bool all = true;
    for (unsigned m = MUTATION_NONE + 1; m < MUTATION_COUNT; m++) {
        if (rules == RULES_LEDGER && m == MUTATION_FAILURE_FORGETS_LATER) {
            continue; /* the ledger has no disk that could fail */
        }
        all = catch_mutation(args, rules, (enum mutation)m, trace) && all;
    }
    return all;
}

/* --- arguments --- */

static bool read_value(struct arguments *args, const char *option, const char *value)
{
    if (strcmp(option, "--seeds") == 0) {
        return str_to_u64(str_of(value), &args->seeds);
    }
    if (strcmp(option, "--from") == 0) {
        return str_to_u64(str_of(value), &args->from);
    }
    if (strcmp(option, "--rules") == 0) {
        bool both = strcmp(value, "both") == 0;
        for (unsigned i = 0; i < 2; i++) {
            args->rules[i] = both || strcmp(value, rules_names[i]) == 0;
        }
        return args->rules[0] || args->rules[1];
    }
    if (strcmp(option, "--mutation") == 0) {
        for (unsigned m = 0; m < MUTATION_COUNT; m++) {
            if (strcmp(value, mutations[m].name) == 0) {
                args->mutation = (enum mutation)m;
                return true;
            }
        }
    }
    return false;
}

static bool read_arguments(struct arguments *args, int argc, char **argv)
{
    *args = (struct arguments){.seeds = 100, .from = 1, .rules = {true, true}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--differ") == 0) {
            args->differ = true;
        } else if (strcmp(argv[i], "--mutations") == 0) {
            args->all_mutations = true;
        } else if (strcmp(argv[i], "--loud") == 0) {
            args->loud = true;
        } else if (i + 1 >= argc || !read_value(args, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct arguments args;
    if (!read_arguments(&args, argc, argv)) {
        (void)fprintf(stderr,
                      "usage: sim [--differ | --mutations] [--seeds N] [--from S] [--rules ledger|book|both] "
                      "[--mutation NAME] [--loud]\n");
        return 2;
    }
    struct trace *trace = mem_zalloc(sizeof *trace);
    bool good = !args.differ || run_differ(&args, trace);
    for (unsigned rules = 0; rules < 2 && good && !args.differ; rules++) {
        if (args.rules[rules]) {
            good = args.all_mutations ? run_mutations(&args, (enum decider_rules)rules, trace)
                                      : run_seeds(&args, (enum decider_rules)rules, trace);
        }
    }
    mem_free(trace);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
