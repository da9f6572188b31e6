/*
 * The differential: one random stream of requests to the ledger and to the book, on the same virtual time.
 * Every answer, every event and every record must be the same (N2, E1, E8, E9, V2, V3; in fact all of
 * DESIGN.md, "Decisions").
 */
#ifndef EA_SIM_DIFFER_H
#define EA_SIM_DIFFER_H

#include <stdint.h>

#include "trace.h"

/* Runs one seed; the trace says whether it failed. */
void differ_run(uint64_t seed, struct trace *trace);

#endif
