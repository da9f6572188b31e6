/* The program election-agent: reads its configuration, assembles the agent, runs it. */
#ifndef EA_AGENT_PROGRAM_H
#define EA_AGENT_PROGRAM_H

#include "agent/agent.h"

/*
 * Returns the exit code: 0 ended as asked; 65 damaged database; 74 input or output; 75 port or database in use; 78 wrong
 * configuration. Called once, on the main thread.
 */
int agent_program(int argc, char **argv, const struct agent_seams *seams);

#endif
