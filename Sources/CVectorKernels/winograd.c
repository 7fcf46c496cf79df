// Winograd's minimal filtering F(4x4, 3x3): y = A^T [ (G g G^T) * (B^T d B) ] A with the interpolation points 0, 1, -1, 2, -2
// (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.2).
#include "CVectorKernels.h"
#include "dispatched.h"
#include <string.h>

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

// One row or column of B^T d: six values a stride apart.
INLINE void input_transform(const lanes *d, int stride, lanes *t, int t_stride) {
  lanes d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride], d5 = d[5 * stride];
  lanes even = d4 - 4.0f * d2, odd = d3 - 4.0f * d1, even2 = d4 - d2, odd2 = 2.0f * (d3 - d1);
  t[0] = 4.0f * d0 - 5.0f * d2 + d4;
  t[t_stride] = even + odd;
  t[2 * t_stride] = even - odd;
  t[3 * t_stride] = even2 + odd2;
  t[4 * t_stride] = even2 - odd2;
  t[5 * t_stride] = 4.0f * d1 - 5.0f * d3 + d5;
}

// One row or column of A^T m.
INLINE void output_transform(const lanes *m, int stride, lanes *t, int t_stride) {
  lanes s1 = m[stride] + m[2 * stride], d1 = m[stride] - m[2 * stride];
  lanes s2 = m[3 * stride] + m[4 * stride], d2 = m[3 * stride] - m[4 * stride];
  t[0] = m[0] + s1 + s2;
  t[t_stride] = d1 + 2.0f * d2;
  t[2 * t_stride] = s1 + 4.0f * s2;
  t[3 * t_stride] = d1 + 8.0f * d2 + m[5 * stride];
}

// One row or column of G g.
INLINE void weight_transform(const lanes *g, int stride, lanes *t, int t_stride) {
  lanes s = g[0] + g[2 * stride], q = g[0] + 4.0f * g[2 * stride];
  t[0] = 0.25f * g[0];
  t[t_stride] = (-1.0f / 6) * (s + g[stride]);
  t[2 * t_stride] = (-1.0f / 6) * (s - g[stride]);
  t[3 * t_stride] = (1.0f / 24) * (q + 2.0f * g[stride]);
  t[4 * t_stride] = (1.0f / 24) * (q - 2.0f * g[stride]);
  t[5 * t_stride] = g[2 * stride];
}

// One row or column of A y, the adjoint of the output transform.
INLINE void output_adjoint(const lanes *y, int stride, lanes *t, int t_stride) {
  lanes even = y[0] + y[2 * stride], odd = y[stride] + y[3 * stride];
  lanes even2 = y[0] + 4.0f * y[2 * stride], odd2 = 2.0f * y[stride] + 8.0f * y[3 * stride];
  t[0] = y[0];
  t[t_stride] = even + odd;
  t[2 * t_stride] = even - odd;
  t[3 * t_stride] = even2 + odd2;
  t[4 * t_stride] = even2 - odd2;
  t[5 * t_stride] = y[3 * stride];
}

// One row or column of G^T m, the adjoint of the weight transform.
INLINE void weight_adjoint(const lanes *m, int stride, lanes *t, int t_stride) {
  lanes s1 = (1.0f / 6) * (m[stride] + m[2 * stride]), d1 = (1.0f / 6) * (m[2 * stride] - m[stride]);
  lanes s2 = (1.0f / 24) * (m[3 * stride] + m[4 * stride]), d2 = (1.0f / 12) * (m[3 * stride] - m[4 * stride]);
  t[0] = 0.25f * m[0] - s1 + s2;
  t[t_stride] = d1 + d2;
  t[2 * t_stride] = 4.0f * s2 - s1 + m[5 * stride];
}

INLINE void load(lanes *v, const float *p, ptrdiff_t count) {
  if (count >= LANES) {
    memcpy(v, p, sizeof *v);
  } else {
    memset(v, 0, sizeof *v);
    memcpy(v, p, sizeof(float) * count);
  }
}

INLINE void store(float *p, const lanes *v, ptrdiff_t count) {
  memcpy(p, v, sizeof(float) * (count >= LANES ? LANES : count));
}

DISPATCHED
void rd_winograd_weights(const float *weights, ptrdiff_t plane, int turned, ptrdiff_t first, ptrdiff_t count, float *transformed) {
  for (ptrdiff_t i = first; i < first + count; i += LANES) {
    ptrdiff_t rest = first + count - i;
    lanes g[9], half[18], u[36];
    for (int k = 0; k < 9; k++) load(&g[k], weights + (turned ? 8 - k : k) * plane + i, rest);
    for (int k = 0; k < 3; k++) weight_transform(g + k, 3, half + k, 3);
    for (int k = 0; k < 6; k++) weight_transform(half + 3 * k, 1, u + 6 * k, 1);
    for (int k = 0; k < 36; k++) store(transformed + k * plane + i, &u[k], rest);
  }
}

DISPATCHED
void rd_winograd_input(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t tiles,
                       float *transformed, ptrdiff_t plane) {
  ptrdiff_t across = (width + 3) / 4, down = (height + 3) / 4;
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, transformed += channels) {
    ptrdiff_t top = tile / across % down * 4 - 1, left = tile % across * 4 - 1;
    const float *source = x + tile / (across * down) * height * width * channels;
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = channels - c;
      lanes d[36], half[36], v[36];
      for (ptrdiff_t i = 0; i < 6; i++)
        for (ptrdiff_t j = 0; j < 6; j++) {
          ptrdiff_t iy = top + i, ix = left + j;
          int inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
          if (inside)
            load(&d[6 * i + j], source + (iy * width + ix) * channels + c, count);
          else
            memset(&d[6 * i + j], 0, sizeof(lanes));
        }
      for (int k = 0; k < 6; k++) input_transform(d + k, 6, half + k, 6);
      for (int k = 0; k < 6; k++) input_transform(half + 6 * k, 1, v + 6 * k, 1);
      for (int k = 0; k < 36; k++) store(transformed + k * plane + c, &v[k], count);
    }
  }
}

DISPATCHED
void rd_winograd_output(const float *transformed, ptrdiff_t plane, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first,
                        ptrdiff_t tiles, float *y) {
  ptrdiff_t across = (width + 3) / 4, down = (height + 3) / 4;
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, transformed += channels) {
    ptrdiff_t top = tile / across % down * 4, left = tile % across * 4;
    float *target = y + tile / (across * down) * height * width * channels;
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = channels - c;
      lanes m[36], half[24], o[16];
      for (int k = 0; k < 36; k++) load(&m[k], transformed + k * plane + c, count);
      for (int k = 0; k < 6; k++) output_transform(m + k, 6, half + k, 6);
      for (int k = 0; k < 4; k++) output_transform(half + 6 * k, 1, o + 4 * k, 1);
      for (ptrdiff_t i = 0; i < 4 && top + i < height; i++)
        for (ptrdiff_t j = 0; j < 4 && left + j < width; j++)
          store(target + ((top + i) * width + left + j) * channels + c, &o[4 * i + j], count);
    }
  }
}

DISPATCHED
void rd_winograd_output_adjoint(const float *dy, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t tiles,
                                float *transformed, ptrdiff_t plane) {
  ptrdiff_t across = (width + 3) / 4, down = (height + 3) / 4;
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, transformed += channels) {
    ptrdiff_t top = tile / across % down * 4, left = tile % across * 4;
    const float *source = dy + tile / (across * down) * height * width * channels;
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = channels - c;
      lanes y[16], half[24], m[36];
      for (ptrdiff_t i = 0; i < 4; i++)
        for (ptrdiff_t j = 0; j < 4; j++)
          if (top + i < height && left + j < width)
            load(&y[4 * i + j], source + ((top + i) * width + left + j) * channels + c, count);
          else
            memset(&y[4 * i + j], 0, sizeof(lanes));
      for (int k = 0; k < 4; k++) output_adjoint(y + k, 4, half + k, 4);
      for (int k = 0; k < 6; k++) output_adjoint(half + 4 * k, 1, m + 6 * k, 1);
      for (int k = 0; k < 36; k++) store(transformed + k * plane + c, &m[k], count);
    }
  }
}

DISPATCHED
void rd_winograd_weights_adjoint(const float *transformed, ptrdiff_t plane, float *weights) {
  for (ptrdiff_t i = 0; i < plane; i += LANES) {
    ptrdiff_t rest = plane - i;
    lanes m[36], half[18], g[9];
    for (int k = 0; k < 36; k++) load(&m[k], transformed + k * plane + i, rest);
    for (int k = 0; k < 6; k++) weight_adjoint(m + k, 6, half + k, 6);
    for (int k = 0; k < 3; k++) weight_adjoint(half + 6 * k, 1, g + 3 * k, 1);
    for (int k = 0; k < 9; k++) store(weights + k * plane + i, &g[k], rest);
  }
}
