// HDF5's type and property-list ids are macros over global variables, which Swift does not import.
#pragma once
#include <hdf5.h>

static inline hid_t rd_h5t_native_float(void) { return H5T_NATIVE_FLOAT; }
