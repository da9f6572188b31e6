/*
 * election-agent with a seam that no setting reaches, named by the first argument; the others are the agent's.
 *
 *     watch       somebody observes all elections from the start, so that what others do is counted too
 *     old-redis   the scripts for Redis servers before 7.0 are used, whatever the servers are
 */
#include <stdio.h>
#include <string.h>

#include "agent/program.h"

int main(int argc, char **argv)
{
    const char *seam = argc > 1 ? argv[1] : "";
    struct agent_seams seams = {
        .watch = strcmp(seam, "watch") == 0,
        .old_redis = strcmp(seam, "old-redis") == 0,
    };
    if (!seams.watch && !seams.old_redis) {
        (void)fprintf(stderr, "usage: agent-rig watch|old-redis [flags of the agent]\n");
        return 78;
    }
    argv[1] = argv[0];
    return agent_program(argc - 1, argv + 1, &seams);
}
