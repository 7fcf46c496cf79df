// Products in bf16 by a matrix unit.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Words of the depth that are gone through in one stretch: rows of them are in the nearest cache while the panels pass.
enum { RD_AMX_STRETCH = 256 };

// Whether the processor has one, and the system lets this process use it.
int rd_has_amx(void);

// As rd_multiply_panels, paired.
void rd_multiply_panels_amx(const uint32_t *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const uint32_t *panels, ptrdiff_t panel_stride,
                            ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, float *c, ptrdiff_t c_stride, int adding);
