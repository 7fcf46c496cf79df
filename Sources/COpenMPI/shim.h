// Open MPI's handles are macros that cast pointers, which Swift does not import: each is wrapped in a function.
#pragma once
#include <mpi.h>

static inline MPI_Comm rd_comm_world(void) { return MPI_COMM_WORLD; }
