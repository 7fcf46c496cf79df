// Open MPI's handles and special addresses are macros that cast pointers, which Swift does not import: each is wrapped in a function.
#pragma once
#include <mpi.h>

static inline MPI_Comm rd_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm rd_comm_null(void) { return MPI_COMM_NULL; }
static inline MPI_Datatype rd_byte(void) { return MPI_BYTE; }
static inline MPI_Errhandler rd_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline MPI_Datatype rd_int64(void) { return MPI_INT64_T; }
static inline MPI_Request rd_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Status *rd_status_ignore(void) { return MPI_STATUS_IGNORE; }
static inline MPI_Status *rd_statuses_ignore(void) { return MPI_STATUSES_IGNORE; }
static inline const void *rd_in_place(void) { return MPI_IN_PLACE; }
