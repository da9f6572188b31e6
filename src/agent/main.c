/* election-agent: all of it is in program.c, so that a test's program can be the same but for its seams. */
#include "agent/program.h"

int main(int argc, char **argv)
{
    return agent_program(argc, argv, &(struct agent_seams){.watch = false});
}
