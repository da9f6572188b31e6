#include "apiserver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define PROGRAM    TEST_SOURCE_DIR "/kube/apiserver.py"
#define NAMESPACES 400 /* more than there are tests */

struct apiserver {
    pid_t pid;
    int input;  /* it ends when this is closed, also when we are killed */
    int output; /* kept open: it may have something to say */
    char directory[64];
    char kubeconfig[96];
    char objects[96];
    char ns[16];
    unsigned used;
    struct kubernetes_options options;
};

static void give_up(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* Namespaces are there from the beginning: making one is not the store's affair. */
static void write_objects(const struct apiserver *server)
{
    FILE *file = fopen(server->objects, "w");
    if (file == NULL) {
        give_up(server->objects);
    }
    for (unsigned i = 1; i <= NAMESPACES; i++) {
        (void)fprintf(file, "%s{\"kind\": \"Namespace\", \"metadata\": {\"name\": \"bench-%u\"}}%s",
                      i == 1 ? "[" : ", ", i, i == NAMESPACES ? "]" : "");
    }
    (void)fclose(file);
}

static void run(const struct apiserver *server, const int input[2], const int output[2])
{
    (void)dup2(input[0], STDIN_FILENO);
    (void)dup2(output[1], STDOUT_FILENO);
    (void)close(input[1]);
    (void)close(output[0]);
    (void)execl("/usr/bin/python3", "python3", "-B", PROGRAM, "--no-gc", "--kubeconfig", server->kubeconfig,
                "--load", server->objects, (char *)NULL);
    _exit(127);
}

struct apiserver *apiserver_start(void)
{
    struct apiserver *server = mem_zalloc(sizeof *server);
    int input[2];
    int output[2];
    char line[256];
    (void)snprintf(server->directory, sizeof server->directory, "/tmp/election-conformance-api-XXXXXX");
    if (mkdtemp(server->directory) == NULL || pipe(input) != 0 || pipe(output) != 0) {
        give_up("the API server");
    }
    (void)snprintf(server->kubeconfig, sizeof server->kubeconfig, "%s/config", server->directory);
    (void)snprintf(server->objects, sizeof server->objects, "%s/objects", server->directory);
    write_objects(server);
    server->pid = fork();
    if (server->pid < 0) {
        give_up("fork");
    }
    if (server->pid == 0) {
        run(server, input, output);
    }
    (void)close(input[0]);
    (void)close(output[1]);
    server->input = input[1];
    server->output = output[0];
    if (read(server->output, line, sizeof line) <= 0) { /* it says where it listens when it does */
        (void)fprintf(stderr, "%s does not start\n", PROGRAM);
        exit(EXIT_FAILURE);
    }
    return server;
}

void apiserver_stop(struct apiserver *server)
{
    (void)close(server->input);
    (void)kill(server->pid, SIGTERM);
    (void)waitpid(server->pid, NULL, 0);
    (void)close(server->output);
    (void)unlink(server->kubeconfig);
    (void)unlink(server->objects);
    (void)rmdir(server->directory);
    mem_free(server);
}

const struct kubernetes_options *apiserver_options(struct apiserver *server)
{
    if (++server->used > NAMESPACES) {
        (void)fprintf(stderr, "more than %d benches: raise NAMESPACES\n", NAMESPACES);
        exit(EXIT_FAILURE);
    }
    (void)snprintf(server->ns, sizeof server->ns, "bench-%u", server->used);
    server->options =
        (struct kubernetes_options){.kubeconfig = server->kubeconfig, .lease_namespace = server->ns};
    return &server->options;
}
