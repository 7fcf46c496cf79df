// Winograd's minimal filtering F(4x4, 3x3): y = A^T [ (G g G^T) * (B^T d B) ] A with the interpolation points 0, 1, -1, 2, -2
// (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.2).
#include "CVectorKernels.h"
#include "dispatched.h"
#include <string.h>

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

#define UNROLLED _Pragma("clang loop unroll(full)")

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

// `count` is a constant LANES where a whole vector is there.
INLINE void load(lanes *v, const float *p, ptrdiff_t count) {
  if (count < LANES) memset(v, 0, sizeof *v);
  memcpy(v, p, sizeof(float) * count);
}

INLINE void store(float *p, const lanes *v, ptrdiff_t count) { memcpy(p, v, sizeof(float) * count); }

// Calls a function for channels first ..< channels, a vector at a time.
#define BY_VECTORS(channels, call)                               \
  for (ptrdiff_t c = 0; c < (channels); c += LANES) {            \
    if ((channels) - c >= LANES) {                               \
      const ptrdiff_t count = LANES;                             \
      call;                                                      \
    } else {                                                     \
      const ptrdiff_t count = (channels) - c;                    \
      call;                                                      \
    }                                                            \
  }

// The rows and columns of a tile that lie inside the map.
typedef struct {
  ptrdiff_t top, left, bottom, right;
} extent;

INLINE extent inside(ptrdiff_t top, ptrdiff_t left, ptrdiff_t side, ptrdiff_t height, ptrdiff_t width) {
  extent e = {top < 0 ? -top : 0, left < 0 ? -left : 0, height - top < side ? height - top : side, width - left < side ? width - left : side};
  return e;
}

INLINE int has(extent e, ptrdiff_t i, ptrdiff_t j) { return i >= e.top && i < e.bottom && j >= e.left && j < e.right; }

INLINE void transform_weights(const float *weights, ptrdiff_t tap_stride, ptrdiff_t count, float *target, ptrdiff_t plane) {
  lanes g[9], half[18];
  UNROLLED for (int k = 0; k < 9; k++) load(&g[k], weights + k * tap_stride, count);
  UNROLLED for (int k = 0; k < 3; k++) weight_transform(g + k, 3, half + k, 3);
  UNROLLED for (int k = 0; k < 6; k++) {
    lanes u[6];
    weight_transform(half + 3 * k, 1, u, 1);
    UNROLLED for (int l = 0; l < 6; l++) store(target + (6 * k + l) * plane, &u[l], LANES);
  }
}

DISPATCHED
void rd_winograd_weights(const float *weights, ptrdiff_t tap_stride, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, float *panels,
                         ptrdiff_t plane, ptrdiff_t panel_stride) {
  for (ptrdiff_t r = 0; r < rows; r++, weights += row_stride, panels += RD_PANEL)
    BY_VECTORS(columns, transform_weights(weights + c, tap_stride, count, panels + c / RD_PANEL * panel_stride + c % RD_PANEL, plane))
}

INLINE void transform_input(const float *source, ptrdiff_t line, ptrdiff_t pixel, extent e, int whole, ptrdiff_t count, float *target,
                            ptrdiff_t plane) {
  lanes half[36];
  UNROLLED for (int j = 0; j < 6; j++) {
    lanes d[6];
    UNROLLED for (int i = 0; i < 6; i++)
      if (whole || has(e, i, j))
        load(&d[i], source + i * line + j * pixel, count);
      else
        memset(&d[i], 0, sizeof d[i]);
    input_transform(d, 1, half + j, 6);
  }
  UNROLLED for (int k = 0; k < 6; k++) {
    lanes v[6];
    input_transform(half + 6 * k, 1, v, 1);
    UNROLLED for (int l = 0; l < 6; l++) store(target + (6 * k + l) * plane, &v[l], count);
  }
}

DISPATCHED
void rd_winograd_input(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t first,
                       ptrdiff_t tiles, float *transformed, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t panel_stride) {
  ptrdiff_t across = (width + 3) / 4, down = (height + 3) / 4, line = width * pixel_stride;
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, transformed += tile_stride) {
    ptrdiff_t top = tile / across % down * 4 - 1, left = tile % across * 4 - 1;
    const float *source = x + ((tile / (across * down) * height + top) * width + left) * pixel_stride;
    extent e = inside(top, left, 6, height, width);
    if (e.top == 0 && e.left == 0 && e.bottom == 6 && e.right == 6)
      BY_VECTORS(channels, transform_input(source + c, line, pixel_stride, e, 1, count,
                                           transformed + c / RD_PANEL * panel_stride + c % RD_PANEL, plane))
    else
      BY_VECTORS(channels, transform_input(source + c, line, pixel_stride, e, 0, count,
                                           transformed + c / RD_PANEL * panel_stride + c % RD_PANEL, plane))
  }
}

INLINE void transform_output(const float *source, ptrdiff_t plane, extent e, int whole, ptrdiff_t count, float *target, ptrdiff_t line,
                             ptrdiff_t pixel) {
  lanes half[24];
  UNROLLED for (int k = 0; k < 6; k++) {
    lanes m[6];
    UNROLLED for (int l = 0; l < 6; l++) load(&m[l], source + (6 * l + k) * plane, count);
    output_transform(m, 1, half + k, 6);
  }
  UNROLLED for (int i = 0; i < 4; i++) {
    lanes o[4];
    output_transform(half + 6 * i, 1, o, 1);
    UNROLLED for (int j = 0; j < 4; j++)
      if (whole || has(e, i, j)) store(target + i * line + j * pixel, &o[j], count);
  }
}

DISPATCHED
void rd_winograd_output(const float *transformed, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t tiles, float *y) {
  ptrdiff_t across = (width + 3) / 4, down = (height + 3) / 4, line = width * pixel_stride;
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, transformed += tile_stride) {
    ptrdiff_t top = tile / across % down * 4, left = tile % across * 4;
    float *target = y + ((tile / (across * down) * height + top) * width + left) * pixel_stride;
    extent e = inside(top, left, 4, height, width);
    if (e.bottom == 4 && e.right == 4)
      BY_VECTORS(channels, transform_output(transformed + c, plane, e, 1, count, target + c, line, pixel_stride))
    else
      BY_VECTORS(channels, transform_output(transformed + c, plane, e, 0, count, target + c, line, pixel_stride))
  }
}

INLINE void transform_output_gradient(const float *source, ptrdiff_t line, ptrdiff_t pixel, extent e, int whole, ptrdiff_t count, float *target,
                                      ptrdiff_t plane) {
  lanes half[24];
  UNROLLED for (int j = 0; j < 4; j++) {
    lanes y[4];
    UNROLLED for (int i = 0; i < 4; i++)
      if (whole || has(e, i, j))
        load(&y[i], source + i * line + j * pixel, count);
      else
        memset(&y[i], 0, sizeof y[i]);
    output_adjoint(y, 1, half + j, 4);
  }
  UNROLLED for (int k = 0; k < 6; k++) {
    lanes m[6];
    output_adjoint(half + 4 * k, 1, m, 1);
    UNROLLED for (int l = 0; l < 6; l++) store(target + (6 * k + l) * plane, &m[l], count);
  }
}

DISPATCHED
void rd_winograd_output_adjoint(const float *dy, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t first,
                                ptrdiff_t tiles, float *transformed, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t panel_stride) {
  ptrdiff_t across = (width + 3) / 4, down = (height + 3) / 4, line = width * pixel_stride;
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, transformed += tile_stride) {
    ptrdiff_t top = tile / across % down * 4, left = tile % across * 4;
    const float *source = dy + ((tile / (across * down) * height + top) * width + left) * pixel_stride;
    extent e = inside(top, left, 4, height, width);
    if (e.bottom == 4 && e.right == 4)
      BY_VECTORS(channels, transform_output_gradient(source + c, line, pixel_stride, e, 1, count,
                                                     transformed + c / RD_PANEL * panel_stride + c % RD_PANEL, plane))
    else
      BY_VECTORS(channels, transform_output_gradient(source + c, line, pixel_stride, e, 0, count,
                                                     transformed + c / RD_PANEL * panel_stride + c % RD_PANEL, plane))
  }
}

INLINE void transform_weight_gradient(const float *source, ptrdiff_t plane, ptrdiff_t count, float *target, ptrdiff_t tap_stride) {
  lanes half[18];
  UNROLLED for (int k = 0; k < 6; k++) {
    lanes m[6];
    UNROLLED for (int l = 0; l < 6; l++) load(&m[l], source + (6 * l + k) * plane, count);
    weight_adjoint(m, 1, half + k, 6);
  }
  UNROLLED for (int k = 0; k < 3; k++) {
    lanes g[3];
    weight_adjoint(half + 6 * k, 1, g, 1);
    UNROLLED for (int l = 0; l < 3; l++) store(target + (3 * k + l) * tap_stride, &g[l], count);
  }
}

DISPATCHED
void rd_winograd_weights_adjoint(const float *transformed, ptrdiff_t plane, ptrdiff_t weight_count, float *weights) {
  BY_VECTORS(weight_count, transform_weight_gradient(transformed + c, plane, count, weights + c, weight_count))
}
