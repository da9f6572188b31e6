/*
 * A program that has libelection inside, and looks at what that does to it. Each scene is a run of its own; it ends with
 * 0 if all of it held.
 *
 *     election_guest quiet|instances|threads|abandoned|fork|slow PORT FACTOR
 *
 * FACTOR stretches leases where the build is slow.
 */
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <election.h>

#define LONG_MS 60000 /* what is waited for comes, or the test fails */

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            (void)dprintf(report, "%s:%d: not so: %s\n", __func__, __LINE__, #condition); \
            _exit(1);                                                                     \
        }                                                                                 \
    } while (0)

static int report = STDERR_FILENO;
static char url[64];
static long slow = 1; /* times as long as in a release build */

static int lead(void *user, struct election_context *context)
{
    CHECK(election_context_wait(context, -1) == ELECTION_OK);
    return 0;
}

static struct election_config config_of(const char *project, const char *node)
{
    struct election_config config;
    election_config_init(&config);
    config.project = project;
    config.node_id = node;
    config.redis_urls = url;
    config.lease_ttl_ms = 1000 * slow;
    config.on_start = lead;
    return config;
}

static struct election *run(const struct election_config *config)
{
    char words[ELECTION_WORDS_BYTES] = "";
    struct election *election = NULL;
    if (election_run(&election, config, words, sizeof words) != ELECTION_OK) {
        (void)dprintf(report, "%s\n", words);
        _exit(1);
    }
    return election;
}

static void wait_for(struct election *election, enum election_until until)
{
    CHECK(election_wait(election, until, LONG_MS) == ELECTION_OK);
}

/* --- quiet: nothing of the process changes --- */

struct numbers {
    int n;
    int list[256];
};

static bool holds(const struct numbers *numbers, int number)
{
    for (int i = 0; i < numbers->n; i++) {
        if (numbers->list[i] == number) {
            return true;
        }
    }
    return false;
}

/* Of /proc/self/fd or /proc/self/task. */
static struct numbers list(const char *path)
{
    struct numbers found = {0};
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && number != dirfd(directory) && found.n < 256) {
            found.list[found.n++] = number;
        }
    }
    (void)closedir(directory);
    return found;
}

static bool blocks_all_signals(int thread)
{
    char path[64];
    char line[256];
    unsigned long long blocked = 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return true; /* it has ended */
    }
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "SigBlk: %llx", &blocked);
    }
    (void)fclose(file);
    /* All that can be blocked but the two that the C library keeps for itself. */
    const unsigned long long own = 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1) | 3ULL << 31;
    return (~blocked & ~own) == 0;
}

struct process {
    struct sigaction actions[65];
    sigset_t mask;
    struct numbers fds;
    struct numbers threads;
    mode_t umask;
    char directory[4096];
    char locale[256];
};

static void look(struct process *p)
{
    memset(p, 0, sizeof *p);
    for (int i = 1; i < 65; i++) {
        (void)sigaction(i, NULL, &p->actions[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, NULL, &p->mask);
    p->fds = list("/proc/self/fd");
    p->threads = list("/proc/self/task");
    p->umask = umask(0);
    (void)umask(p->umask);
    CHECK(getcwd(p->directory, sizeof p->directory) != NULL);
    (void)snprintf(p->locale, sizeof p->locale, "%s", setlocale(LC_ALL, NULL));
}

static void compare(const struct process *before, const struct process *now)
{
    for (int i = 1; i < 65; i++) {
        CHECK(before->actions[i].sa_handler == now->actions[i].sa_handler);
        CHECK(before->actions[i].sa_flags == now->actions[i].sa_flags);
    }
    CHECK(memcmp(&before->mask, &now->mask, sizeof now->mask) == 0);
    CHECK(before->umask == now->umask);
    CHECK(strcmp(before->directory, now->directory) == 0);
    CHECK(strcmp(before->locale, now->locale) == 0);
}

static void *nothing(void *arg)
{
    return arg;
}

/* A sanitizer has a thread of its own from the first that is made on. */
static void warm_up(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* Whatever is written to standard output and error from here on. */
static int catch_output(void)
{
    int caught = memfd_create("output", MFD_CLOEXEC);
    report = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    CHECK(caught >= 0 && dup2(caught, STDOUT_FILENO) >= 0 && dup2(caught, STDERR_FILENO) >= 0);
    return caught;
}

static void wait_for_threads(const struct numbers *before)
{
    for (int i = 0; list("/proc/self/task").n > before->n; i++) {
        CHECK(i < LONG_MS);
        (void)usleep(1000);
    }
}

/* libuv keeps two descriptors, from the first loop of a process on. */
static void keep_first_loop(void)
{
    struct election_config config = config_of("first", "a");
    struct numbers before = list("/proc/self/fd");
    CHECK(election_free(run(&config)) == ELECTION_OK);
    CHECK(list("/proc/self/fd").n == before.n + 2);
}

static void quiet(void)
{
    static struct process before;
    static struct process now;
    struct stat written;
    int output = catch_output();
    warm_up();
    look(&before);
    keep_first_loop();
    before.fds = list("/proc/self/fd");
    for (int own_loop = 0; own_loop < 2; own_loop++) {
        struct election_config config = config_of("quiet", "a");
        config.loop = own_loop != 0 ? ELECTION_LOOP_PROGRAM : ELECTION_LOOP_THREAD;
        struct election *election = run(&config);
        while (!election_is_leader(election)) {
            (void)usleep(1000);
            CHECK(own_loop == 0 || election_dispatch(election) == ELECTION_OK);
        }
        look(&now);
        compare(&before, &now);
        CHECK(now.threads.n >= before.threads.n + (own_loop != 0 ? 1 : 2));
        for (int i = 0; i < now.threads.n; i++) {
            CHECK(holds(&before.threads, now.threads.list[i]) || blocks_all_signals(now.threads.list[i]));
        }
        CHECK(now.fds.n > before.fds.n);
        for (int i = 0; i < now.fds.n; i++) {
            int fd = now.fds.list[i];
            CHECK(holds(&before.fds, fd) || (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
        CHECK(election_free(election) == ELECTION_OK);
        wait_for_threads(&before.threads);
        look(&now);
        compare(&before, &now);
        CHECK(now.fds.n == before.fds.n);
    }
    CHECK(fstat(output, &written) == 0 && written.st_size == 0);
}

/* --- instances: several in one process --- */

static int close_another(void *user, struct election_context *context)
{
    struct election **another = user;
    CHECK(election_close(*another) == ELECTION_OK); /* is no callback of that one */
    return 0;
}

static struct election *leader_of(struct election *a, struct election *b)
{
    for (int i = 0;; i++) {
        bool leads[2] = {election_is_leader(a), election_is_leader(b)};
        CHECK(!leads[0] || !leads[1]);
        if (leads[0] || leads[1]) {
            return leads[0] ? a : b;
        }
        CHECK(i < LONG_MS);
        (void)usleep(1000);
    }
}

static void instances(void)
{
    struct election_config configs[] = {config_of("one", "a"), config_of("two", "a"), config_of("two", "b")};
    struct election *one = run(&configs[0]);
    struct election *two[2] = {run(&configs[1]), run(&configs[2])};
    wait_for(one, ELECTION_UNTIL_LEADING); /* another project: also of the same node */
    struct election *first = leader_of(two[0], two[1]);
    struct election *second = first == two[0] ? two[1] : two[0];
    uint64_t token = election_revision(first);
    uint64_t other = election_revision(one);
    CHECK(token != 0 && other != 0);
    CHECK(election_free(first) == ELECTION_OK);
    wait_for(second, ELECTION_UNTIL_LEADING);
    CHECK(election_revision(second) > token);
    CHECK(election_revision(one) == other); /* not touched by any of it */

    struct election_config closer = config_of("three", "a");
    closer.on_start = close_another;
    closer.user = &second;
    struct election *three = run(&closer);
    wait_for(second, ELECTION_UNTIL_CLOSED);
    CHECK(election_is_leader(one) && !election_is_leader(second));
    CHECK(election_free(second) == ELECTION_OK && election_free(three) == ELECTION_OK);
    CHECK(election_free(one) == ELECTION_OK && election_free(NULL) == ELECTION_OK);
    CHECK(election_close(NULL) == ELECTION_OK && !election_is_leader(NULL) && election_revision(NULL) == 0);
    CHECK(election_run(NULL, &closer, NULL, 0) == ELECTION_INVALID);
    CHECK(election_run(&one, NULL, NULL, 0) == ELECTION_INVALID);
}

/* --- threads: all functions at once, and several close --- */

struct hammer {
    struct election *election;
    atomic_bool closed;
    pthread_t thread;
};

static void *use(void *arg)
{
    struct hammer *hammer = arg;
    struct election *election = hammer->election;
    struct election_stats *stats = calloc(1, sizeof *stats);
    struct election_node node;
    char page[ELECTION_FORMAT_BYTES];
    stats->size = sizeof *stats;
    while (!atomic_load(&hammer->closed)) {
        uint64_t token = election_revision(election);
        CHECK(election_stats(election, stats) == ELECTION_OK);
        CHECK(stats->revision == 0 || token == 0 || stats->revision >= token);
        CHECK(election_format_stats(election, page, sizeof page) == strlen(page));
        CHECK(election_node_info(election, &node) == ELECTION_OK && strcmp(node.node_id, "a") == 0);
        enum election_error error = election_step_down(election);
        CHECK(error == ELECTION_OK || error == ELECTION_NOT_LEADING || error == ELECTION_CLOSED);
        error = election_wait(election, ELECTION_UNTIL_LEADING, 1);
        CHECK(error == ELECTION_OK || error == ELECTION_TIMEOUT || error == ELECTION_CLOSED);
    }
    free(stats);
    return NULL;
}

static void *close_it(void *arg)
{
    struct hammer *hammer = arg;
    CHECK(election_close(hammer->election) == ELECTION_OK);
    CHECK(election_wait(hammer->election, ELECTION_UNTIL_CLOSED, 0) ==
          ELECTION_OK); /* it is done, and not only begun */
    return NULL;
}

static void *wait_to_lead(void *arg)
{
    struct hammer *hammer = arg;
    while (election_wait(hammer->election, ELECTION_UNTIL_LEADING, -1) == ELECTION_OK) {
    }
    CHECK(election_wait(hammer->election, ELECTION_UNTIL_LEADING, -1) == ELECTION_CLOSED);
    CHECK(election_wait(hammer->election, ELECTION_UNTIL_NOT_LEADING, -1) == ELECTION_OK);
    CHECK(election_step_down(hammer->election) == ELECTION_CLOSED);
    return NULL;
}

static int return_at_once(void *user, struct election_context *context)
{
    atomic_fetch_add((atomic_int *)user, 1);
    return 0;
}

static void threads(void)
{
    static void *(*const works[])(void *) = {use, use, close_it, close_it, close_it, wait_to_lead};
    atomic_int starts = 0;
    struct election_config config = config_of("threads", "a");
    config.lease_ttl_ms = 100 * slow;
    config.on_start = return_at_once;
    config.user = &starts;
    struct hammer hammers[6] = {0};
    struct election *election = run(&config);
    CHECK(election_wait(election, (enum election_until)3, 0) == ELECTION_INVALID);
    CHECK(election_fd(election) == -1 && election_dispatch(election) == ELECTION_INVALID);
    for (size_t i = 0; i < 6; i++) {
        hammers[i].election = election;
        bool closes = works[i] == close_it;
        if (closes) { /* it has led, been told to step down, and led again */
            while (atomic_load(&starts) < 2) {
                (void)usleep(1000);
            }
        }
        CHECK(pthread_create(&hammers[i].thread, NULL, works[i], &hammers[i]) == 0);
    }
    for (size_t i = 2; i < 6; i++) {
        CHECK(pthread_join(hammers[i].thread, NULL) == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&hammers[i].closed, true);
        CHECK(pthread_join(hammers[i].thread, NULL) == 0);
    }
    CHECK(election_free(election) == ELECTION_OK);
}

/* --- abandoned: the handle is freed while on_start still runs --- */

static sem_t may_return;
static sem_t returned;

static int stay(void *user, struct election_context *context)
{
    uint64_t token = election_context_token(context);
    while (sem_wait(&may_return) != 0) {
    }
    /* Long after election_free() the context still tells the truth. */
    CHECK(election_context_is_over(context) && election_context_left_ms(context) == 0);
    CHECK(election_context_wait(context, -1) == ELECTION_OK && election_context_token(context) == token);
    return 0;
}

static void leave(void *user, uint64_t token)
{
    (void)sem_post(&returned);
}

static void abandoned(void)
{
    warm_up();
    struct numbers before = list("/proc/self/task");
    struct election_config config = config_of("abandoned", "a");
    config.on_start = stay;
    config.on_stop = leave;
    config.close_timeout_ms = 50;
    (void)sem_init(&may_return, 0, 0);
    (void)sem_init(&returned, 0, 0);
    struct election *election = run(&config);
    wait_for(election, ELECTION_UNTIL_LEADING);
    CHECK(election_free(election) == ELECTION_ABANDONED);
    (void)sem_post(&may_return);
    while (sem_wait(&returned) != 0) { /* on_stop is called all the same */
    }
    wait_for_threads(&before);
}

/* --- fork: the parent goes on, the child may begin anew --- */

static int fork_inside(void *user, struct election_context *context)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        _exit(election_context_is_over(context) && election_context_left_ms(context) == 0 &&
                      election_context_wait(context, -1) == ELECTION_OK
                  ? 0
                  : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(!election_context_is_over(context));
    (void)sem_post(user);
    return lead(user, context);
}

static void fork_scene(void)
{
    sem_t forked;
    struct election_config config = config_of("fork", "parent");
    config.on_start = fork_inside;
    config.user = &forked;
    (void)sem_init(&forked, 0, 0);
    struct election *election = run(&config);
    while (sem_wait(&forked) != 0) {
    }
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        struct election_config mine = config_of("child", "child");
        CHECK(!election_is_leader(election) && election_free(election) == ELECTION_FORKED);
        struct election *own = run(&mine); /* of its own it may have one */
        wait_for(own, ELECTION_UNTIL_LEADING);
        CHECK(election_free(own) == ELECTION_OK);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(election_is_leader(election));
    CHECK(election_free(election) == ELECTION_OK);
}

/* --- slow: names that nobody answers for --- */

static sem_t asked;
static sem_t answer;
static sem_t answered;

/* Seen by the library instead of the C library's. */
#pragma GCC visibility push(default)
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found);
void freeaddrinfo(struct addrinfo *found);
#pragma GCC visibility pop

struct address {
    struct addrinfo info;
    struct sockaddr_in in;
};

/* localhost is 127.0.0.1; for others it takes as long as the test wants. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    if (strcmp(host, "localhost") != 0) {
        (void)sem_post(&asked);
        while (sem_wait(&answer) != 0) {
        }
        (void)sem_post(&answer); /* for all of them */
        (void)sem_post(&answered);
        return EAI_AGAIN;
    }
    struct address *address = calloc(1, sizeof *address);
    address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address->info = (struct addrinfo){.ai_family = AF_INET,
                                      .ai_socktype = SOCK_STREAM,
                                      .ai_addrlen = sizeof address->in,
                                      .ai_addr = (struct sockaddr *)&address->in};
    *found = &address->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found);
}

static void slow_names(void)
{
    warm_up();
    struct numbers before = list("/proc/self/task");
    struct election_config config = config_of("slow", "a");
    config.redis_urls = "redis://nowhere.test";
    (void)sem_init(&asked, 0, 0);
    (void)sem_init(&answer, 0, 0);
    (void)sem_init(&answered, 0, 0);
    struct election *election = run(&config);
    while (sem_wait(&asked) != 0) {
    }
    CHECK(election_free(election) == ELECTION_OK); /* does not wait for the answer, which comes after it */
    CHECK(sem_trywait(&answered) != 0);
    (void)sem_post(&answer);
    while (sem_wait(&answered) != 0) {
    }
    wait_for_threads(&before);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*play)(void);
    } scenes[] = {{"quiet", quiet},         {"instances", instances}, {"threads", threads},
                  {"abandoned", abandoned}, {"fork", fork_scene},     {"slow", slow_names}};
    CHECK(argc == 4);
    slow = atoi(argv[3]);
    (void)snprintf(url, sizeof url, "redis://localhost:%s", argv[2]);
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        if (strcmp(scenes[i].name, argv[1]) == 0) {
            scenes[i].play();
            return 0;
        }
    }
    return 2;
}
