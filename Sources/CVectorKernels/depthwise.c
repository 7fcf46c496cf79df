#include "CVectorKernels.h"
#include "dispatched.h"

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

static inline ptrdiff_t clamped(ptrdiff_t value, ptrdiff_t most) { return value < 0 ? 0 : value > most ? most : value; }

// A row's pixels one after another for 16 channels at a time, so that their weights stay at hand.
DISPATCHED
void rd_depthwise(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, const float *weights, ptrdiff_t kernel, ptrdiff_t stride,
                  ptrdiff_t padding, ptrdiff_t out_width, ptrdiff_t first, ptrdiff_t rows, float *y) {
  for (ptrdiff_t r = first; r < first + rows; r++, y += out_width * channels) {
    ptrdiff_t top = r * stride - padding, ky_begin = clamped(-top, kernel), ky_end = clamped(height - top, kernel);
    for (ptrdiff_t c = 0; c < channels; c += LANES)
      for (ptrdiff_t p = 0; p < out_width; p++) {
        ptrdiff_t left = p * stride - padding, kx_begin = clamped(-left, kernel), kx_end = clamped(width - left, kernel);
        lanes sum = {0};
        for (ptrdiff_t ky = ky_begin; ky < ky_end; ky++)
          for (ptrdiff_t kx = kx_begin; kx < kx_end; kx++)
            sum += *(const lanes *)(x + ((top + ky) * width + left + kx) * channels + c) *
                   *(const lanes *)(weights + (ky * kernel + kx) * channels + c);
        *(lanes *)(y + p * channels + c) = sum;
      }
  }
}
