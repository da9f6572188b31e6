/*
 * Drives a fuzz target without libFuzzer: every file of the corpus as it is, then seeded mutations of them
 * (bits flipped, bytes set, cut, doubled, spliced). Not coverage-guided; `make fuzz` is. Prints how many
 * inputs it ran.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX   ((size_t)64 * 1024)
#define SEEDS_MAX         256
#define MUTATIONS_DEFAULT 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
    uint8_t *bytes;
    size_t n;
};

static struct seed seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t state = 0x9e3779b97f4a7c15U;

static uint64_t next(uint64_t bound)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % bound;
}

static void load(const char *directory)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry; n_seeds < SEEDS_MAX && (entry = readdir(dir)) != NULL;) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "rb") : NULL;
        if (file == NULL) {
            continue;
        }
        struct seed *seed = &seeds[n_seeds++];
        seed->bytes = malloc(INPUT_BYTES_MAX);
        if (seed->bytes == NULL) {
            abort();
        }
        seed->n = fread(seed->bytes, 1, INPUT_BYTES_MAX, file);
        fclose(file);
    }
    closedir(dir);
}

/* Changes input[0..n) in place and returns its new length. */
static size_t mutate(uint8_t *input, size_t n)
{
    for (uint64_t round = 1 + next(4); round > 0; round--) {
        if (n == 0) {
            input[0] = (uint8_t)next(256);
            n = 1;
            continue;
        }
        size_t at = (size_t)next(n);
        switch (next(5)) {
        case 0:
            input[at] ^= (uint8_t)(1U << next(8));
            break;
        case 1:
            input[at] = (uint8_t)next(256);
            break;
        case 2:
            n = at;
            break;
        case 3: {
            size_t length = (size_t)next(n - at) + 1;
            if (n + length <= INPUT_BYTES_MAX) {
                memmove(input + at + length, input + at, n - at);
                n += length;
            }
            break;
        }
        default: {
            const struct seed *other = &seeds[next(n_seeds)];
            size_t length = other->n > 0 ? (size_t)next(other->n) : 0;
            if (at + length <= INPUT_BYTES_MAX) {
                memcpy(input + at, other->bytes, length);
                n = at + length > n ? at + length : n;
            }
            break;
        }
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        load(argv[i]);
    }
    if (n_seeds == 0) {
        fprintf(stderr, "no seeds: name a directory with at least one file\n");
        return 1;
    }
    const char *wanted = getenv("FUZZ_MUTATIONS");
    long mutations = wanted != NULL ? strtol(wanted, NULL, 10) : MUTATIONS_DEFAULT;
    for (size_t i = 0; i < n_seeds; i++) {
        LLVMFuzzerTestOneInput(seeds[i].bytes, seeds[i].n);
    }
    uint8_t *input = malloc(INPUT_BYTES_MAX);
    if (input == NULL) {
        abort();
    }
    for (long i = 0; i < mutations; i++) {
        const struct seed *seed = &seeds[next(n_seeds)];
        memcpy(input, seed->bytes, seed->n);
        LLVMFuzzerTestOneInput(input, mutate(input, seed->n));
    }
    free(input);
    for (size_t i = 0; i < n_seeds; i++) {
        free(seeds[i].bytes);
    }
    printf("%zu seeds and %ld mutations\n", n_seeds, mutations);
    return 0;
}
