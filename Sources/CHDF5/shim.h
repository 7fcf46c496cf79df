// HDF5's predefined identifiers are macros that call H5open() first, which Swift does not import: each is wrapped in a function.
#pragma once
#include <hdf5.h>
